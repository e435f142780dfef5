package rule

// node is one condition.
type node struct{}

func (n *node) eval(s Subject, at At) (bool, int64) { return false, Never }
