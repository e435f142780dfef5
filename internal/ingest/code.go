package ingest

// The codes with which an item is rejected. Those that Segment has bear
// Segment's names; the rest are ours. They are stable.
const (
	CodeBadRequest      = "bad_request"     // the body is no JSON, or not of the shape that its path asks for
	CodeEmptyBatch      = "empty_batch"     // there is nothing in the batch
	CodeBatchTooLong    = "batch_too_long"  // more items than Limits.BatchItems
	CodeBatchTooLarge   = "batch_too_large" // more bytes than Limits.BatchBytes
	CodeEventTooLarge   = "event_too_large" // more bytes than Limits.EventBytes
	CodeTooDeep         = "json_too_deep"   // nested deeper than Limits.Depth
	CodeTooManyKeys     = "json_too_many_keys"
	CodeDuplicateKey    = "json_duplicate_key"
	CodeNumberRange     = "json_number_range" // a number no float64 can hold
	CodeJSON            = "json_invalid"      // the item is no JSON object
	CodeTypeUnknown     = "type_unknown"
	CodeNoUser          = "no_user_anon_id"
	CodeEventMissing    = "event_not_defined"
	CodeEventNotString  = "event_not_string"
	CodeNameTooLong     = "name_too_long"
	CodeProperties      = "properties_not_object"
	CodeTraits          = "traits_not_object"
	CodeContext         = "context_not_object"
	CodeNameNotString   = "name_not_string"
	CodeCategory        = "category_not_string"
	CodeIDRequired      = "id_required" // groupId of a group, previousId and userId of an alias
	CodeIDNotString     = "id_not_string"
	CodeIDTooLong       = "id_too_long"
	CodeIDText          = "id_bad_text" // an identifier holds control characters or text that could not be read
	CodeMessageIDLong   = "message_id_too_long"
	CodeOtherMessageID  = "other_message_id" // what is sent again has another id than it was kept with
	CodeTimestamp       = "timestamp_invalid"
	CodeConsentMissing  = "consent_categorypreferences_should_exist"
	CodeConsentObject   = "consent_categorypreferences_fields_should_be_object"
	CodeConsentBool     = "consent_categorypreferences_fields_should_be_bool"
	CodeConsentVersion  = "consent_version_should_be_number"
	CodeAdvertisingID   = "device_advertisingid_should_be_string"
	CodeSourceDisabled  = "source_disabled"
	CodeUnknownSource   = "unknown_source"
	CodeTooManyRequests = "too_many_requests"
)

// problem is why an item is rejected. The detail names places, never values.
type problem struct {
	code   string
	detail string
}

func (p problem) ok() bool { return p.code == "" }
