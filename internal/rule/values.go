package rule

import (
	"cmp"
	"encoding/binary"
	"math/bits"
)

// Sample is what one event says to a measure: a decimal number, or for first and
// last whether its property compares as asked.
type Sample struct {
	At    int64 // the event's time
	Coef  int64 // the number is Coef × 10^-Scale; 1 and 0 for first and last
	Scale uint8 // at most MaxPlaces
}

// Values is what a tally keeps of its events beside their times.
type Values struct {
	Samples []Sample // the newest, newest first, at most Tally.Samples; of one time the later walked first
	Oldest  Sample   // of the earliest event; of one time the first walked
	Sum     Total    // of all numbers ever
	Least   Total
	Most    Total
}

// Total is an exact sum: 192 bits in units of 10^-MaxPlaces, lowest word first,
// negative ones in two's complement. Some 10^9 of the greatest samples fit.
type Total [3]uint64

// powers are 10^0 to 10^MaxPlaces, low and high word.
var powers = func() (p [MaxPlaces + 1][2]uint64) {
	p[0][0] = 1
	for i := 1; i < len(p); i++ {
		high, low := bits.Mul64(p[i-1][0], 10)
		p[i] = [2]uint64{low, p[i-1][1]*10 + high}
	}
	return p
}()

// total gives the sample's number.
func (s Sample) total() Total {
	coef, power := uint64(s.Coef), powers[MaxPlaces-min(s.Scale, MaxPlaces)]
	if s.Coef < 0 {
		coef = -coef
	}
	t := Total{power[0], power[1]}.times(coef)
	if s.Coef < 0 {
		t = t.negative()
	}
	return t
}

func (t Total) times(n uint64) Total {
	h0, l0 := bits.Mul64(t[0], n)
	h1, l1 := bits.Mul64(t[1], n)
	m1, carry := bits.Add64(l1, h0, 0)
	return Total{l0, m1, t[2]*n + h1 + carry}
}

func (t Total) negative() Total { return Total{^t[0], ^t[1], ^t[2]}.plus(Total{1}) }

func (t Total) plus(o Total) Total {
	a, carry := bits.Add64(t[0], o[0], 0)
	b, carry := bits.Add64(t[1], o[1], carry)
	c, _ := bits.Add64(t[2], o[2], carry)
	return Total{a, b, c}
}

func (t Total) compare(o Total) int {
	if n := cmp.Compare(int64(t[2]), int64(o[2])); n != 0 {
		return n
	}
	if n := cmp.Compare(t[1], o[1]); n != 0 {
		return n
	}
	return cmp.Compare(t[0], o[0])
}

// sampleOf reads a JSON number of at most MaxDigits significant digits and
// MaxPlaces places, below 10^MaxDigits; false for everything else.
func sampleOf(raw []byte) (Sample, bool) {
	n, start, end, ok := parseNumber(raw)
	if !ok || n.mag > MaxDigits {
		return Sample{}, false
	}
	for end > start && (raw[end-1] == '0' || raw[end-1] == '.') {
		end--
	}
	var s Sample
	digits := int64(0)
	for _, c := range raw[start:end] {
		if c == '.' {
			continue
		}
		if digits++; digits > MaxDigits {
			return Sample{}, false
		}
		s.Coef = s.Coef*10 + int64(c-'0')
	}
	switch scale := digits - n.mag; {
	case digits == 0:
	case scale > MaxPlaces:
		return Sample{}, false
	case scale < 0:
		s.Coef *= pow10(-scale)
	default:
		s.Scale = uint8(scale)
	}
	if n.neg {
		s.Coef = -s.Coef
	}
	return s, true
}

// put keeps a sample. Earlier says that its event was walked before all others
// that are kept, which decides between events of one time.
func (v *Values) put(s Sample, of *Tally, first, earlier bool) {
	if first || s.At < v.Oldest.At || s.At == v.Oldest.At && earlier {
		v.Oldest = s
	}
	if of.As == nil {
		t := s.total()
		v.addTotals(t, t, t, first)
	}
	v.keep(s, of.Samples, earlier)
}

func (v *Values) addTotals(sum, least, most Total, first bool) {
	v.Sum = v.Sum.plus(sum)
	if first || least.compare(v.Least) < 0 {
		v.Least = least
	}
	if first || most.compare(v.Most) > 0 {
		v.Most = most
	}
}

func (v *Values) keep(s Sample, most int, earlier bool) {
	v.Samples = v.Samples[:min(len(v.Samples), most)]
	at := len(v.Samples)
	for at > 0 && (v.Samples[at-1].At < s.At || v.Samples[at-1].At == s.At && !earlier) {
		at--
	}
	if at == most {
		return
	}
	if len(v.Samples) < most {
		v.Samples = append(v.Samples, Sample{})
	}
	copy(v.Samples[at+1:], v.Samples[at:len(v.Samples)-1])
	v.Samples[at] = s
}

// merge adds another's values, whose events count as walked before.
func (v *Values) merge(o *Values, of *Tally, first bool) {
	if first || o.Oldest.At <= v.Oldest.At {
		v.Oldest = o.Oldest
	}
	v.addTotals(o.Sum, o.Least, o.Most, first)
	for _, s := range o.Samples {
		v.keep(s, of.Samples, true)
	}
}

// AppendValues writes the values behind dst, one byte where there are none: a 1,
// the oldest sample, the three totals, and the samples with their number.
func (s *TallyState) AppendValues(dst []byte) []byte {
	v := s.Values
	if v == nil {
		return append(dst, 0)
	}
	dst = appendSample(append(dst, 1), v.Oldest, 0)
	for _, t := range [...]Total{v.Sum, v.Least, v.Most} {
		size := len(dst)
		dst = append(dst, 0)
		for _, word := range t {
			dst = binary.LittleEndian.AppendUint64(dst, word)
		}
		for len(dst) > size+1 && dst[len(dst)-1] == 0 {
			dst = dst[:len(dst)-1]
		}
		dst[size] = byte(len(dst) - size - 1)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.Samples)))
	last := v.Oldest.At
	for _, x := range v.Samples {
		dst, last = appendSample(dst, x, last), x.At
	}
	return dst
}

func appendSample(dst []byte, s Sample, last int64) []byte {
	dst = binary.AppendVarint(dst, s.At-last)
	return binary.AppendVarint(append(dst, s.Scale), s.Coef)
}

// DecodeValues reads what AppendValues wrote and gives what follows.
func (s *TallyState) DecodeValues(b []byte) (rest []byte, err error) {
	s.Values = nil
	if len(b) == 0 || b[0] > 1 {
		return nil, errState
	}
	if b[0] == 0 {
		return b[1:], nil
	}
	v := &Values{}
	if v.Oldest, b, err = decodeSample(b[1:], 0); err != nil {
		return nil, err
	}
	for _, t := range [...]*Total{&v.Sum, &v.Least, &v.Most} {
		if len(b) == 0 || b[0] > 24 || len(b) <= int(b[0]) {
			return nil, errState
		}
		var full [24]byte
		copy(full[:], b[1:1+b[0]])
		for i := range t {
			t[i] = binary.LittleEndian.Uint64(full[8*i:])
		}
		b = b[1+b[0]:]
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)) {
		return nil, errState
	}
	b = b[n:]
	last := v.Oldest.At
	for range size {
		var x Sample
		if x, b, err = decodeSample(b, last); err != nil {
			return nil, err
		}
		v.Samples, last = append(v.Samples, x), x.At
	}
	s.Values = v
	return b, nil
}

func decodeSample(b []byte, last int64) (s Sample, rest []byte, err error) {
	at, n := binary.Varint(b)
	if n <= 0 || n >= len(b) || b[n] > MaxPlaces {
		return s, nil, errState
	}
	s.At, s.Scale = last+at, b[n]
	b = b[n+1:]
	if s.Coef, n = binary.Varint(b); n <= 0 {
		return s, nil, errState
	}
	return s, b[n:], nil
}
