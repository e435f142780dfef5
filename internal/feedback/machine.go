package feedback

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mileusna/useragent"
)

// Visit is what a request tells of who made it.
type Visit struct {
	Method   string
	Agent    string // User-Agent
	Prefetch bool   // the request says itself that nobody looks yet
	GPC      bool   // Sec-GPC: 1
	IP       string // whole; only its network is ever kept
	Language string // in which the page is shown
}

// VisitOf reads a request.
func VisitOf(r *http.Request) Visit {
	v := Visit{Method: r.Method, Agent: r.UserAgent(), GPC: r.Header.Get("Sec-GPC") == "1"}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		v.IP = host
	}
	for _, name := range []string{"Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"} {
		switch s := strings.ToLower(r.Header.Get(name)); {
		case strings.Contains(s, "prefetch"), strings.Contains(s, "prerender"), strings.Contains(s, "preview"):
			v.Prefetch = true
		}
	}
	return v
}

// tooSoon is how long after handing over a mail nobody has read it yet: gateways
// look at once.
const tooSoon = 2 * time.Second

// Machine tells whether an open or a click was a machine's, and by what sign.
// sent is when the mail left, zero if that is not known.
func (v Visit) Machine(sent, now time.Time) (sign string, yes bool) {
	agent := strings.ToLower(strings.TrimSpace(v.Agent))
	switch {
	case v.Method == http.MethodHead:
		return "head", true
	case v.Prefetch:
		return "prefetch", true
	case agent == "":
		return "no_agent", true
	case agent == "mozilla/5.0":
		// What Apple's Mail Privacy Protection sends for every mail, read or not.
		return "privacy_proxy", true
	case !sent.IsZero() && now.Sub(sent) < tooSoon:
		return "too_soon", true
	}
	for _, p := range readersProxies {
		if strings.Contains(agent, p) {
			return "", false
		}
	}
	for _, m := range machines {
		if strings.Contains(agent, m) {
			return "agent", true
		}
	}
	if useragent.Parse(v.Agent).Bot {
		return "agent", true
	}
	return "", false
}

// readersProxies fetch pictures at the moment when a person looks.
var readersProxies = []string{"googleimageproxy", "yahoomailproxy", "yahoo mail proxy"}

// machines are parts of agents, in small letters, of gateways that look into
// mails, of previews in messengers, and of programs.
var machines = []string{
	// Gateways and scanners.
	"barracuda", "mimecast", "proofpoint", "symantec", "messagelabs", "ironport", "fireeye", "trellix", "sophos", "trendmicro", "trend micro",
	"zscaler", "cloudmark", "forcepoint", "fortinet", "fortigate", "paloalto", "checkpoint", "check point", "kaspersky", "bitdefender", "avast",
	"urldefense", "safelinks", "bingpreview", "microsoft office existence discovery", "ms-office; msoffice", "urlscan", "virustotal", "netcraft", "phishtank",
	"securityscan", "linkscan", "scanner", "vade", "hornetsecurity", "spamtitan", "area1", "cofense", "knowbe4", "agari", "ironscales",
	// Previews and crawlers.
	"facebookexternalhit", "slackbot", "twitterbot", "linkedinbot", "whatsapp", "telegrambot", "discordbot", "skypeuripreview", "applebot",
	"googlebot", "adsbot", "bingbot", "yandex", "baiduspider", "duckduckbot", "ahrefsbot", "semrushbot", "petalbot", "crawler", "spider", "bot/",
	"google-safety", "google-read-aloud", "feedfetcher", "cloudflare",
	// Programs.
	"curl/", "wget/", "python", "go-http-client", "okhttp", "java/", "apache-httpclient", "libwww", "lwp::", "perl", "ruby", "axios/",
	"node-fetch", "undici", "guzzlehttp", "php/", "httpie", "postmanruntime", "headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium",
	"electron", "scrapy", "aiohttp", "httpx",
}
