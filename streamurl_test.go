package ssmresume_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ssmresume/ssmresume"
)

var longHost = strings.Repeat("0123456789.ABCXYZ-abcxyz_", 11)

func TestParseStreamURL(t *testing.T) {
	const aws = "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/"
	for raw, want := range map[string]ssmresume.StreamURL{
		aws + "Mary-Major-07a16060613c408b5?role=publish_subscribe": {
			Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com",
			SessionID: "Mary-Major-07a16060613c408b5", Role: ssmresume.RolePublishSubscribe,
		},
		// Real session IDs and cell numbers are not escaped.
		aws + "ana.b@example.com-=x+y?role=publish_subscribe&cell-number=AAEA+b/c==": {
			Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com",
			SessionID: "ana.b@example.com-=x+y", Role: ssmresume.RolePublishSubscribe,
		},
		// The form that the API Reference documents.
		aws + "1a2b3c4dEXAMPLE?stream=input":                                {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "1a2b3c4dEXAMPLE", Role: ssmresume.RoleInput},
		aws + "s?stream=output&role=":                                       {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Role: ssmresume.RoleOutput},
		aws + "s?stream=output&role=input&role=x":                           {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Role: ssmresume.RoleInput},
		aws + "s?role=a%20b":                                                {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Role: "a b"},
		aws + "s?role=%zz":                                                  {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Role: "%zz"},
		aws + "a%20b%C3%A9?":                                                {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "a bé"},
		aws + "s?%zz=1&X-Amz-Signature=0a":                                  {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Presigned: true},
		aws + "s?role=input;x&x-amz-security-token=a":                       {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Role: "input;x", Presigned: true},
		aws + "s?X%2DAmz%2DCredential":                                      {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s", Presigned: true},
		aws + "s?X-Amz-Other=1":                                             {Partition: "aws", Region: "us-east-2", Host: "ssmmessages.us-east-2.amazonaws.com", SessionID: "s"},
		"WSS://SSMMessages.EU-west-1.amazonaws.COM.:443/v12/data-channel/s": {Partition: "aws", Region: "eu-west-1", Host: "SSMMessages.EU-west-1.amazonaws.COM.:443", SessionID: "s"},
		"ws://127.0.0.1:8080/v1/data-channel/s":                             {Host: "127.0.0.1:8080", SessionID: "s"},
		"wss://[::1]:8443/v1/data-channel/s":                                {Host: "[::1]:8443", SessionID: "s"},
		"wss://h:1/v1/data-channel/s":                                       {Host: "h:1", SessionID: "s"},
		"wss://h:65535/v0123456789/data-channel/s":                          {Host: "h:65535", SessionID: "s"},
		"wss://" + longHost[:255] + "/v1/data-channel/!~":                   {Host: longHost[:255], SessionID: "!~"},
	} {
		u, err := ssmresume.ParseStreamURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if u.DialURL() != raw {
			t.Errorf("DialURL() = %q, want %q", u.DialURL(), raw)
		}
		if diff := cmp.Diff(want, u, cmp.FilterPath(func(p cmp.Path) bool { return len(p) == 1 }, cmp.Transformer("fields", fields))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

type urlFields struct {
	Partition, Region, Host, SessionID string
	Role                               ssmresume.Role
	Presigned                          bool
}

func fields(u ssmresume.StreamURL) urlFields {
	return urlFields{u.Partition, u.Region, u.Host, u.SessionID, u.Role, u.Presigned}
}

func TestStreamURLHosts(t *testing.T) {
	for host, want := range map[string][2]string{
		"ssmmessages-fips.us-gov-west-1.amazonaws.com":                               {"aws-us-gov", "us-gov-west-1"},
		"ssmmessages.us-gov-west-1.api.aws":                                          {"aws-us-gov", "us-gov-west-1"},
		"ssmmessages.eu-isoe-west-1.cloud.adc-e.uk":                                  {"aws-iso-e", "eu-isoe-west-1"},
		"vpce-0a1b-c2d3.ssmmessages.eu-west-1.vpce.amazonaws.com":                    {"aws", "eu-west-1"},
		"vpce-0a1b-c2d3-eu-west-1a.ssmmessages-fips.ca-central-1.vpce.amazonaws.com": {"aws", "ca-central-1"},
		"vpce-0a1b.ssmmessages.cn-north-1.vpce.amazonaws.com.cn":                     {"aws-cn", "cn-north-1"},
		"ssmmessages.xx-new-west-1.amazonaws.com":                                    {"aws", "xx-new-west-1"},
		"ssmmessages.eusc-fr-west-1.api.aws":                                         {"aws", "eusc-fr-west-1"},
		"ssmmessages.us-gov-09_az-0190.api.aws":                                      {"aws-us-gov", "us-gov-09_az-0190"},
		"ssmmessages.az-zaza-10.amazonaws.com":                                       {"aws", "az-zaza-10"},
		// No name of a Region.
		"ssmmessages.us-east-.amazonaws.com":     {},
		"ssmmessages.us--1.amazonaws.com":        {},
		"ssmmessages.-us-east-1.amazonaws.com":   {},
		"ssmmessages.us-1.amazonaws.com":         {},
		"ssmmessages.us-east-1a.amazonaws.com":   {},
		"ssmmessages.us-east1.amazonaws.com":     {},
		"ssmmessages.us-e-ast-1.amazonaws.com":   {"aws", "us-e-ast-1"},
		"ssmmessages.u5-east-1.amazonaws.com":    {},
		"ssmmessages.xx-e_st-1.amazonaws.com":    {},
		"ssmmessages.us-gov-ea-st.amazonaws.com": {},
		// Not Systems Manager's: another suffix, service, shape or owner.
		"ssmmessages.us-east-2.amazonaws.com.cn":           {},
		"ssmmessages.cn-north-1.amazonaws.com":             {},
		"ssmmessages.us-east-2.amazonaws.com.evil.example": {},
		"ssmmessages.us-east-2.evil.example":               {},
		"evil-ssmmessages.us-east-2.amazonaws.com":         {},
		"x.ssmmessages.us-east-2.amazonaws.com":            {},
		"ssmmessages.local.amazonaws.com":                  {},
		"ssmmessages.a.b.amazonaws.com":                    {},
		"ssmmessages.us-east-2.vpce.amazonaws.com":         {},
		"vpce-1.ssmmessages.us-east-2.amazonaws.com":       {},
		"ssmmessages.us-east-2.amazonaws.com..":            {},
		"ssm.us-east-2.amazonaws.com":                      {},
	} {
		u, err := ssmresume.ParseStreamURL("wss://" + host + "/v1/data-channel/s")
		if strings.HasSuffix(host, "..") {
			if err == nil {
				t.Errorf("%s: accepted", host)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if got := [2]string{u.Partition, u.Region}; got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestParseStreamURLRefuses(t *testing.T) {
	const secret = "?X-Amz-Signature=SECRET"
	for name, raw := range map[string]string{
		"empty":              "",
		"no scheme":          "//h/v1/data-channel/s" + secret,
		"https":              "https://h/v1/data-channel/s" + secret,
		"opaque":             "wss:h/v1/data-channel/s" + secret,
		"ws to AWS":          "ws://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/s" + secret,
		"user":               "wss://u:SECRET@h/v1/data-channel/s",
		"empty user":         "wss://@h/v1/data-channel/s" + secret,
		"no host":            "wss:///v1/data-channel/s" + secret,
		"port 0":             "wss://h:0/v1/data-channel/s" + secret,
		"port 65536":         "wss://h:65536/v1/data-channel/s" + secret,
		"empty port":         "wss://h:/v1/data-channel/s" + secret,
		"no number":          "wss://h:SECRET/v1/data-channel/s",
		"escaped host":       "wss://h%C3%A9/v1/data-channel/s" + secret,
		"odd host":           "wss://h'i/v1/data-channel/s" + secret,
		"long host":          "wss://" + longHost[:256] + "/v1/data-channel/s" + secret,
		"dot host":           "wss://.h/v1/data-channel/s" + secret,
		"IPv4 in brackets":   "wss://[127.0.0.1]/v1/data-channel/s" + secret,
		"zone":               "wss://[fe80::1%25eth0]/v1/data-channel/s" + secret,
		"fragment":           "wss://h/v1/data-channel/s" + secret + "#f",
		"empty fragment":     "wss://h/v1/data-channel/s" + secret + "#",
		"no path":            "wss://h" + secret,
		"other path":         "wss://h/v1/control-channel/s" + secret,
		"no version":         "wss://h/v/data-channel/s" + secret,
		"version x":          "wss://h/vx/data-channel/s" + secret,
		"no session":         "wss://h/v1/data-channel/" + secret,
		"dot":                "wss://h/v1/data-channel/." + secret,
		"dot dot":            "wss://h/v1/data-channel/.." + secret,
		"escaped dot dot":    "wss://h/v1/data-channel/%2e%2e" + secret,
		"two segments":       "wss://h/v1/data-channel/s/t" + secret,
		"escaped slash":      "wss://h/v1/data-channel/s%2Ft" + secret,
		"escaped separator":  "wss://h/v1/data-channel%2Fs" + secret,
		"escaped control":    "wss://h/v1/data-channel/s%0A" + secret,
		"escaped C1 control": "wss://h/v1/data-channel/s%C2%9B" + secret,
		"escaped bad UTF-8":  "wss://h/v1/data-channel/s%FF" + secret,
		"bad escape":         "wss://h/v1/data-channel/s%zz" + secret,
		"control":            "wss://h/v1/data-channel/s\n" + secret,
		"space":              "wss://h/v1/data-channel/s t" + secret,
		"DEL":                "wss://h/v1/data-channel/s\x7f" + secret,
		"non-ASCII":          "wss://h/v1/data-channel/é" + secret,
	} {
		u, err := ssmresume.ParseStreamURL(raw)
		if err == nil {
			t.Errorf("%s: %q was accepted as %+v", name, raw, fields(u))
			continue
		}
		if !u.IsZero() {
			t.Errorf("%s: an error and a URL", name)
		}
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the error repeats the query: %v", name, err)
		}
	}
}

func TestParseStreamURLAllocations(t *testing.T) {
	const raw = "wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/Mary-Major-07a16060613c408b5?role=publish_subscribe&cell-number=AAEA+b/c=="
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ssmresume.ParseStreamURL(raw); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations, want at most 3", n)
	}
}

func FuzzParseStreamURL(f *testing.F) {
	f.Add("wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/ana-0a1b?role=publish_subscribe")
	f.Add("wss://vpce-1.ssmmessages.us-east-2.vpce.amazonaws.com:443/v1/data-channel/a@b.=+?cell-number=a+b/==&stream=input")
	f.Add("ws://[::1]:80/v2/data-channel/%2e%20?X-Amz-Signature=1&%zz")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ssmresume.ParseStreamURL(s)
		if err != nil {
			if _, query, ok := strings.Cut(s, "?"); ok && len(query) > 40 && strings.Contains(err.Error(), query) {
				t.Errorf("the error repeats the query: %v", err)
			}
			return
		}
		if u.DialURL() != s { // what we accept, we must not change
			t.Errorf("DialURL() = %q, want %q", u.DialURL(), s)
		}
		type facts struct{ NoSession, SlashInSession, NoHost, OnlyPartitionOrRegion bool }
		same(t, fmt.Sprintf("ParseStreamURL(%q) = %+v", s, fields(u)), facts{},
			facts{u.SessionID == "", strings.Contains(u.SessionID, "/"), u.Host == "", (u.Partition == "") != (u.Region == "")})
		parsed, err := url.Parse(s)
		if err != nil {
			t.Fatalf("net/url: %v in %q", err, s)
		}
		if parsed.Host != u.Host {
			t.Errorf("host %q, net/url sees %q", u.Host, parsed.Host)
		}
		if !strings.HasSuffix(parsed.Path, "/"+u.SessionID) {
			t.Errorf("session %q, net/url sees the path %q", u.SessionID, parsed.Path)
		}
		// What is printed is not longer secret than its base.
		base, _, _ := strings.Cut(s, "?")
		if printed := u.String(); printed != base && printed != base+"?[redacted]" {
			t.Errorf("String() = %q for %q", printed, s)
		}
	})
}

func TestStreamURLString(t *testing.T) {
	for raw, want := range map[string]string{
		"wss://h/v1/data-channel/s":      "wss://h/v1/data-channel/s",
		"wss://h/v1/data-channel/s?":     "wss://h/v1/data-channel/s",
		"wss://h/v1/data-channel/s?a?b&": "wss://h/v1/data-channel/s?[redacted]",
	} {
		u, err := ssmresume.ParseStreamURL(raw)
		if err != nil || u.String() != want {
			t.Errorf("%s prints as %s, want %s; %v", raw, u, want, err)
		}
	}
}
