package pii

import "strings"

// nationalID tells the national ids whose form no other number has, or whose
// check digits make a mistake rare. Those that are digits like any others (BSN,
// PESEL, Steuer-ID, Aadhaar, …) are told by the name of their field.
func nationalID(text string, i int) (end int, ok bool) {
	for _, of := range [...]func(string) (int, bool){socialSecurity, insurance, identityCard, fiscalCode, personalCode, taxpayer, registration} {
		if n, ok := of(text[i:]); ok && ends(text, i+n) {
			return i + n, true
		}
	}
	return i, false
}

// form tells whether a text begins with a form: 9 a digit, A a letter, anything
// else itself.
func form(text, of string) bool {
	if len(text) < len(of) {
		return false
	}
	for k := range len(of) {
		switch c := text[k]; of[k] {
		case '9':
			if !digit(c) {
				return false
			}
		case 'A':
			if !letter(c) {
				return false
			}
		default:
			if c != of[k] {
				return false
			}
		}
	}
	return true
}

// socialSecurity is the number of the US Social Security Administration, written
// with dashes; areas 000, 666 and 900 and above are never given.
func socialSecurity(t string) (int, bool) {
	return 11, form(t, "999-99-9999") && t[:3] != "000" && t[:3] != "666" && t[0] != '9' && t[4:6] != "00" && t[7:11] != "0000"
}

// insurance is a British National Insurance number, HMRC manual NIM39110.
func insurance(t string) (int, bool) {
	compact, n := t, 9
	if form(t, "AA 99 99 99 A") {
		compact, n = strings.ReplaceAll(t[:13], " ", ""), 13
	}
	if !form(compact, "AA999999A") {
		return 0, false
	}
	first, second, last := upper(compact[0]), upper(compact[1]), upper(compact[8])
	pair := string([]byte{first, second})
	return n, strings.IndexByte("DFIQUV", first) < 0 && strings.IndexByte("DFIQUVO", second) < 0 && last <= 'D' &&
		!strings.Contains("BG GB KN NK NT TN ZZ", pair)
}

// identityCard is a Spanish DNI or NIE: the letter is the number modulo 23.
func identityCard(t string) (int, bool) {
	const check = "TRWAGMYFPDXBNJZSQVHLCKE"
	if form(t, "A9999999A") && strings.IndexByte("XYZ", upper(t[0])) >= 0 {
		return 9, upper(t[8]) == check[(int(upper(t[0])-'X')*10_000_000+value(t[1:8]))%23]
	}
	if form(t, "99999999A") {
		return 9, upper(t[8]) == check[value(t[:8])%23]
	}
	if form(t, "99999999-A") {
		return 10, upper(t[9]) == check[value(t[:8])%23]
	}
	return 0, false
}

func value(digits string) int {
	v := 0
	for k := range len(digits) {
		v = v*10 + int(digits[k]-'0')
	}
	return v
}

// fiscalCode is an Italian codice fiscale with the check letter of the decree of
// 23 December 1976.
func fiscalCode(t string) (int, bool) {
	if !form(t, "AAAAAA99A99A999A") {
		return 0, false
	}
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for k := range 15 {
		c := upper(t[k])
		at := int(c - 'A')
		if digit(c) {
			at = int(c - '0')
		}
		if k%2 == 0 {
			at = odd[at]
		}
		sum += at
	}
	return 16, upper(t[15]) == byte('A'+sum%26)
}

// personalCode is a Finnish henkilötunnus: the sign is the number modulo 31.
func personalCode(t string) (int, bool) {
	if len(t) < 11 || !form(t, "999999") || strings.IndexByte("-+A", t[6]) < 0 || !form(t[7:], "999") {
		return 0, false
	}
	return 11, upper(t[10]) == "0123456789ABCDEFHJKLMNPRSTUVWXY"[value(t[:6]+t[7:10])%31]
}

// taxpayer is a Brazilian CPF, written with its dots: two check digits modulo 11.
func taxpayer(t string) (int, bool) {
	if !form(t, "999.999.999-99") {
		return 0, false
	}
	d := strings.NewReplacer(".", "", "-", "").Replace(t[:14])
	if strings.Count(d, d[:1]) == len(d) {
		return 0, false
	}
	for n := 9; n <= 10; n++ {
		sum := 0
		for k := range n {
			sum += int(d[k]-'0') * (n + 1 - k)
		}
		if sum*10%11%10 != int(d[n]-'0') {
			return 0, false
		}
	}
	return 14, true
}

// registration is a French NIR with its key: 97 less the number modulo 97. The
// two letters of Corsica count as 19 and 18.
func registration(t string) (int, bool) {
	compact, n := t, 15
	if form(t, "9 99 99 99 999 999 99") {
		compact, n = strings.ReplaceAll(t[:21], " ", ""), 21
	}
	if !form(compact, "999999999999999") || compact[0] != '1' && compact[0] != '2' {
		return 0, false
	}
	if month := value(compact[3:5]); month == 0 || month > 12 && month < 20 {
		return 0, false
	}
	return n, 97-value(compact[:13])%97 == value(compact[13:15])
}
