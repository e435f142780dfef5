package rows

import "rapport/internal/message"

// Blank gives what is left of a mail whose person was erased: that there was one,
// of which kind and when, and neither to whom nor what for them alone.
func Blank(in *message.Intent) message.Intent {
	return message.Intent{
		ID: in.ID, Template: in.Template, Purpose: in.Purpose, Class: in.Class, Version: in.Version, Journey: in.Journey,
		Decided: in.Decided, Due: in.Due,
	}
}
