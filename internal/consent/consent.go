// Package consent is the authority on permission: the ledger of what people
// said, the suppression list, and the one question that every gate asks,
// Decide. Default deny; an error denies. It never sends and never renders.
package consent
