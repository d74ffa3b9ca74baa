package main

import (
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/ssmresume/ssmresume"
)

// A masker takes out of texts what is nobody's business. Most of them are the
// service's own: an AccessDeniedException names the caller, the account and the
// session.
type masker struct {
	id, shown string         // the session's ID, and what is shown of it
	name      *regexp.Regexp // what the ID begins with; nil: nothing to mask
	words     []string       // in pairs, for a strings.Replacer
}

func newMasker(o options) masker {
	m := masker{id: o.sessionID, shown: showID(o.sessionID)}
	if name, _ := splitID(o.sessionID); len(name) > 2 && name != ecsName {
		m.name = regexp.MustCompile(`(?i)(^|[^\pL\pN])` + regexp.QuoteMeta(name) + `($|[^\pL\pN])`)
	}
	m.word(o.profile, "<profile>")
	m.word(os.Getenv("AWS_PROFILE"), "<profile>")
	if home, err := os.UserHomeDir(); err == nil {
		m.word(home, "~")
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		m.hostOf(os.Getenv(name), "<proxy>")
	}
	for _, endpoint := range []string{o.endpointURL, os.Getenv("AWS_ENDPOINT_URL"), os.Getenv("AWS_ENDPOINT_URL_SSM")} {
		m.hostOf(endpoint, "<endpoint>")
	}
	return m
}

// ecsName begins the IDs of sessions of "aws ecs execute-command", and is nobody's.
const ecsName = "ecs-execute-command"

func splitID(id string) (name, random string) {
	i := strings.LastIndexByte(id, '-')
	return id[:max(i, 0)], id[i+1:]
}

// showID leaves enough to tell two reports apart.
func showID(id string) string {
	name, random := splitID(id)
	if name != ecsName {
		name = "<name>"
	}
	return name + "-" + random[:min(4, len(random)/2)] + "..."
}

// word is masked wherever it stands.
func (m *masker) word(word, instead string) {
	if len(word) > 2 && word != "default" {
		m.words = append(m.words, word, instead)
	}
}

func (m *masker) secret(secrets ...string) {
	for _, s := range secrets {
		m.word(s, "<secret>")
	}
}

func (m *masker) account(id string) { m.word(id, "<account>") }

func (m *masker) hostOf(rawURL, instead string) {
	if !strings.Contains(rawURL, "://") {
		rawURL = "http://" + rawURL // as in HTTPS_PROXY=proxy:3128
	}
	if u, err := url.Parse(rawURL); err == nil {
		if u.User != nil {
			m.word(u.User.String(), "<user>")
		}
		m.word(u.Hostname(), instead)
	}
}

var patterns = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`arn:(aws[a-z-]*):([a-z0-9-]*):([a-z0-9-]*):[0-9]*:[^\s"')]*`), "arn:$1:$2:$3:<masked>"},
	{regexp.MustCompile(`(wss?://[^\s"'?]*)\?[^\s"']*`), "$1?<masked>"},
	{regexp.MustCompile(`(of profile |shared config profile, |SSO session section, )[^\s,]+`), "$1<profile>"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "<hash>"}, // a file's name in ~/.aws/sso/cache: of the portal's
	{regexp.MustCompile(`\b(?:A[KSRIG][IOPD]A|ANPA|ANVA|APKA|ASCA|ABIA|ACCA)[A-Z0-9]{12,}(?::[^\s"']+)?`), "<key>"},
	{regexp.MustCompile(`\b(i|mi|eni|vpc|vpce|subnet|sg|eipalloc|ssoins)-[0-9a-zA-Z]{8,17}(?:-[0-9a-z]+)?\b`), "$1-<masked>"},
	{regexp.MustCompile(`[^\s"'<>/,;:=()]+@[^\s"'<>/,;:=()]+\.[^\s"'<>/,;:=()]+`), "<address>"},
	{regexp.MustCompile(`(?:\b|_)[0-9]{12}(?:\b|_)`), "<account>"},
	{regexp.MustCompile(`[0-9A-Za-z-]+\.awsapps\.com`), "<portal>.awsapps.com"},
}

var maybeIP = regexp.MustCompile(`[0-9a-fA-F:.]*[:.][0-9a-fA-F:.]*[0-9a-fA-F]`)

// text masks what others have said, and makes one line of it.
func (m *masker) text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	s = strings.ReplaceAll(s, m.id, m.shown)
	s = strings.NewReplacer(m.words...).Replace(s)
	for _, p := range patterns {
		s = p.pattern.ReplaceAllString(s, p.instead)
	}
	if m.name != nil {
		s = m.name.ReplaceAllString(s, "$1<name>$2")
	}
	return maybeIP.ReplaceAllStringFunc(s, func(word string) string {
		if _, err := netip.ParseAddr(word); err == nil {
			return "<ip>"
		}
		if _, err := netip.ParseAddrPort(word); err == nil {
			return "<ip>:port"
		}
		return word
	})
}

// host is what is shown of a StreamUrl's host.
func (m *masker) host(u ssmresume.StreamURL) string {
	if u.Partition == "" {
		return "<a host outside AWS>"
	}
	return m.text(u.Host)
}
