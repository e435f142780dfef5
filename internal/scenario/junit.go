package scenario

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// Suite is the results of one file.
type Suite struct {
	Name    string
	Results []*Result
	Took    []time.Duration // of each, in machine time
}

type junitSuites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suites   []junitSuite
}

type junitSuite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Time     string   `xml:"time,attr"`
	Cases    []junitCase
}

type junitCase struct {
	XMLName xml.Name  `xml:"testcase"`
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Time    string    `xml:"time,attr"`
	Failure *junitSay `xml:"failure,omitempty"`
	Error   *junitSay `xml:"error,omitempty"`
}

type junitSay struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes results in the XML that build servers read.
func JUnit(suites []Suite) ([]byte, error) {
	all := junitSuites{}
	for _, s := range suites {
		suite := junitSuite{Name: s.Name, Tests: len(s.Results)}
		var sum time.Duration
		for i, r := range s.Results {
			c := junitCase{Name: r.Name, Class: s.Name, Time: seconds(s.Took[i])}
			sum += s.Took[i]
			switch {
			case r.Err != nil:
				suite.Errors++
				c.Error = &junitSay{Message: "could not be run", Text: r.Err.Error()}
			case !r.Passed():
				suite.Failures++
				c.Failure = &junitSay{Message: fmt.Sprintf("%d mails are not as expected", len(r.Diffs)), Text: r.Describe()}
			}
			suite.Cases = append(suite.Cases, c)
		}
		suite.Time = seconds(sum)
		all.Tests, all.Failures, all.Errors = all.Tests+suite.Tests, all.Failures+suite.Failures, all.Errors+suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	b, err := xml.MarshalIndent(all, "", "  ")
	return append([]byte(xml.Header), append(b, '\n')...), err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// Describe writes what differs, one mail after the other.
func (r *Result) Describe() string {
	var b strings.Builder
	for i := range r.Diffs {
		for _, l := range r.Diffs[i].Lines() {
			_, _ = fmt.Fprintf(&b, "%c %s\n", l.Mark, l.Text) // A builder never fails.
		}
	}
	return b.String()
}

// Line is one line of a difference: Mark is '-' for what was expected, '+' for
// what left, ' ' for the mail that both are about.
type Line struct {
	Mark byte
	Text string
}

// Lines writes the difference for people.
func (d *Diff) Lines() []Line {
	switch {
	case d.Got == nil:
		what := d.Expected.Template
		if what == "" {
			what = d.Expected.Subject
		}
		return []Line{{'-', strings.TrimSpace(fmt.Sprintf("%s to %s %s", d.At.Format(time.RFC3339), d.Expected.To, what)) + " — expected, did not leave"}}
	case d.Expected == nil:
		return []Line{{'+', d.Got.Line() + " — left, not expected"}}
	}
	out := []Line{{' ', d.Got.Line()}}
	for _, f := range d.Fields {
		out = append(out, Line{'-', "  " + f.Name + ": " + f.Expected}, Line{'+', "  " + f.Name + ": " + f.Got})
	}
	return out
}

// Line writes a mail in one line.
func (m *Mail) Line() string {
	from := m.Journey
	if m.Step != "" && m.Step != m.Template {
		from += "/" + m.Step
	}
	return fmt.Sprintf("%s to %s %s (%s) %q", m.At.Truncate(time.Second).Format(time.RFC3339), m.To, m.Template, from, m.Subject)
}
