package liquid

// The names of days and months, as CLDR has them for use within a date.

var germanNames = dateNames{
	days:      [7]string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"},
	daysShort: [7]string{"So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."},
	months: [12]string{
		"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
	},
	monthsShort: [12]string{"Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."},
	am:          "AM", pm: "PM",
}

var frenchNames = dateNames{
	days:      [7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
	daysShort: [7]string{"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
	months: [12]string{
		"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre",
	},
	monthsShort: [12]string{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
	am:          "AM", pm: "PM",
}

var spanishNames = dateNames{
	days:      [7]string{"domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"},
	daysShort: [7]string{"dom", "lun", "mar", "mié", "jue", "vie", "sáb"},
	months: [12]string{
		"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
	},
	monthsShort: [12]string{"ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"},
	am:          "a. m.", pm: "p. m.",
}

var italianNames = dateNames{
	days:      [7]string{"domenica", "lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato"},
	daysShort: [7]string{"dom", "lun", "mar", "mer", "gio", "ven", "sab"},
	months: [12]string{
		"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre",
	},
	monthsShort: [12]string{"gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"},
	am:          "AM", pm: "PM",
}

var dutchNames = dateNames{
	days:      [7]string{"zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"},
	daysShort: [7]string{"zo", "ma", "di", "wo", "do", "vr", "za"},
	months: [12]string{
		"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december",
	},
	monthsShort: [12]string{"jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"},
	am:          "a.m.", pm: "p.m.",
}

var portugueseNames = dateNames{
	days: [7]string{
		"domingo", "segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado",
	},
	daysShort: [7]string{"dom.", "seg.", "ter.", "qua.", "qui.", "sex.", "sáb."},
	months: [12]string{
		"janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
	},
	monthsShort: [12]string{"jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."},
	am:          "AM", pm: "PM",
}

var swedishNames = dateNames{
	days:      [7]string{"söndag", "måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag"},
	daysShort: [7]string{"sön", "mån", "tis", "ons", "tors", "fre", "lör"},
	months: [12]string{
		"januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december",
	},
	monthsShort: [12]string{"jan.", "feb.", "mars", "apr.", "maj", "juni", "juli", "aug.", "sep.", "okt.", "nov.", "dec."},
	am:          "fm", pm: "em",
}

var danishNames = dateNames{
	days:      [7]string{"søndag", "mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag"},
	daysShort: [7]string{"søn.", "man.", "tirs.", "ons.", "tors.", "fre.", "lør."},
	months: [12]string{
		"januar", "februar", "marts", "april", "maj", "juni", "juli", "august", "september", "oktober", "november", "december",
	},
	monthsShort: [12]string{"jan.", "feb.", "mar.", "apr.", "maj", "jun.", "jul.", "aug.", "sep.", "okt.", "nov.", "dec."},
	am:          "AM", pm: "PM",
}

var norwegianNames = dateNames{
	days:      [7]string{"søndag", "mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag"},
	daysShort: [7]string{"søn.", "man.", "tir.", "ons.", "tor.", "fre.", "lør."},
	months: [12]string{
		"januar", "februar", "mars", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "desember",
	},
	monthsShort: [12]string{"jan.", "feb.", "mars", "apr.", "mai", "juni", "juli", "aug.", "sep.", "okt.", "nov.", "des."},
	am:          "a.m.", pm: "p.m.",
}

var finnishNames = dateNames{
	days: [7]string{
		"sunnuntai", "maanantai", "tiistai", "keskiviikko", "torstai", "perjantai", "lauantai",
	},
	daysShort: [7]string{"su", "ma", "ti", "ke", "to", "pe", "la"},
	months: [12]string{
		"tammikuuta", "helmikuuta", "maaliskuuta", "huhtikuuta", "toukokuuta", "kesäkuuta", "heinäkuuta", "elokuuta", "syyskuuta",
		"lokakuuta", "marraskuuta", "joulukuuta",
	},
	monthsShort: [12]string{
		"tammik.", "helmik.", "maalisk.", "huhtik.", "toukok.", "kesäk.", "heinäk.", "elok.", "syysk.", "lokak.", "marrask.", "jouluk.",
	},
	am: "ap.", pm: "ip.",
}

var polishNames = dateNames{
	days:      [7]string{"niedziela", "poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota"},
	daysShort: [7]string{"niedz.", "pon.", "wt.", "śr.", "czw.", "pt.", "sob."},
	months: [12]string{
		"stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca", "sierpnia", "września", "października", "listopada",
		"grudnia",
	},
	monthsShort: [12]string{"sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"},
	am:          "AM", pm: "PM",
}

var czechNames = dateNames{
	days:      [7]string{"neděle", "pondělí", "úterý", "středa", "čtvrtek", "pátek", "sobota"},
	daysShort: [7]string{"ne", "po", "út", "st", "čt", "pá", "so"},
	months: [12]string{
		"ledna", "února", "března", "dubna", "května", "června", "července", "srpna", "září", "října", "listopadu", "prosince",
	},
	monthsShort: [12]string{"led", "úno", "bře", "dub", "kvě", "čvn", "čvc", "srp", "zář", "říj", "lis", "pro"},
	am:          "dop.", pm: "odp.",
}
