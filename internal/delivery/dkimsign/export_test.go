package dkimsign

// Places gives how many mails are signed at a time.
func (s *Signer) Places() int { return cap(s.places) }
