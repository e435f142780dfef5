// Package sdk holds no code of its own: its tests let the SDKs that our users
// have, unchanged, speak to the true binary, and then ask the server whom it
// knows. The SDKs stand in modules of their own, analytics-go and npm.
package sdk
