package pii

import "strings"

// fieldNames says what a field holds by its name, in lower case and without
// signs between its words.
var fieldNames = func() map[string]Kind {
	out := map[string]Kind{}
	for kind, list := range byKind {
		for _, name := range strings.Fields(list) {
			out[name] = kind
		}
	}
	return out
}()

// byKind are the names, as people write them in the languages of our users.
var byKind = map[Kind]string{
	Email:      "email emailaddress mail mailaddress useremail customeremail contactemail workemail emailid correo courriel",
	Phone:      "phone phonenumber phoneno mobile mobilenumber mobilephone tel telephone telefon telefonnummer handynummer cell cellphone fax faxnumber msisdn whatsapp homephone workphone contactnumber telefono",
	Card:       "card cardnumber cardno creditcard creditcardnumber debitcard ccnumber ccnum pan kreditkarte",
	IBAN:       "iban bankaccount bankaccountnumber accountiban kontonummer",
	NationalID: "ssn socialsecurity socialsecuritynumber nationalid nationalidnumber nationalinsurancenumber nino passport passportnumber passportno taxid tin steuerid steueridentifikationsnummer bsn pesel cpf aadhaar aadhar dni nie nif personnummer personalcode cpr hetu codicefiscale driverslicense drivinglicence idcard ausweisnummer nir",
	IP:         "ip ipaddress ipaddr clientip remoteip userip remoteaddr ipv4 ipv6",
	Secret:     "password passwd pwd passwort cvv cvc cvv2 cvc2 securitycode secret clientsecret accesstoken refreshtoken apikey privatekey",
}

const longestName = 24

// Named tells what a field holds by its name; None where the name says nothing.
func Named(name string) Kind {
	var room [longestName]byte
	n := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_' || c == '-' || c == ' ' || c == '.':
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		if n == len(room) {
			return None
		}
		room[n] = c
		n++
	}
	return fieldNames[string(room[:n])]
}

// Fits tells whether a value may be what the name of its field says: most fields
// with such names in events hold counts, states and the like.
func Fits(kind Kind, value string) bool {
	if value == "" || Hashed(value) {
		return false
	}
	digits, at, _, _ := signs(value)
	switch kind {
	case Email:
		return at
	case Phone:
		return digits >= 6 && digits <= 15 && len(value) <= 32
	case Card:
		return digits >= 12 && digits <= 19 && len(value) <= 32
	case IBAN:
		return digits >= 6 && len(value) >= 8 && len(value) <= 42
	case NationalID:
		return digits >= 5 && len(value) <= 32
	case IP:
		found := Find(nil, value)
		return len(found) > 0
	case Secret:
		return !words[strings.ToLower(value)]
	}
	return false
}

// words are values that tell of a secret without being one.
var words = map[string]bool{
	"true": true, "false": true, "yes": true, "no": true, "none": true, "null": true, "set": true, "changed": true, "reset": true,
	"[secret]": true, "***": true, "******": true, "********": true, "[redacted]": true, "[filtered]": true,
}
