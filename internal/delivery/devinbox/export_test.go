package devinbox

// Keep adds a mail as it came over SMTP.
func Keep(i *Inbox, raw []byte) int64 { return i.add("a@b.example", []string{"c@d.example"}, raw) }
