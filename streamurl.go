package ssmresume

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Role is the part a client plays on a data channel, as the stream URL says it.
type Role string

// The roles in use. Others are kept as they came.
const (
	RolePublishSubscribe Role = "publish_subscribe" // reads and writes
	RoleInput            Role = "input"             // writes
	RoleOutput           Role = "output"            // reads
)

// A StreamURL is the WebSocket URL of a session's data channel. Its query may
// hold a signature, so it prints and encodes with the query masked; only
// [StreamURL.DialURL] gives it out whole. The zero value is no URL.
//
// Compare with Equal or go-cmp: reflect.DeepEqual of two equal URLs is false.
type StreamURL struct {
	Partition string // "aws", "aws-cn", ...; empty if Host is in no AWS partition and not Options.StreamHost
	Region    string // such as "us-east-2"; empty likewise
	Host      string // host, or host:port
	SessionID string // unescaped
	Role      Role   // empty if the URL names none
	Presigned bool   // the query holds a SigV4 signature or a part of one

	raw func() string // a func, as in Token
}

// ParseStreamURL parses the StreamUrl of an answer: an absolute URL with scheme
// wss, a host, a path /v1/data-channel/{session-id} (any version number) and any
// query, without user name or fragment. Scheme ws is accepted for hosts outside
// AWS, which test endpoints are. The role is taken from the query's role or else
// from its stream, the form that the API Reference documents.
//
// The errors never repeat the query.
func ParseStreamURL(raw string) (StreamURL, error) {
	fail := func(reason string) (StreamURL, error) {
		return StreamURL{}, errors.New("ssmresume: invalid stream URL: " + reason)
	}
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x7f {
			return fail("it holds a space, a control character or a character outside ASCII")
		}
	}
	if strings.Contains(raw, "#") {
		return fail("it holds a fragment")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fail("it is not a URL")
	}
	switch {
	case u.Scheme != "wss" && u.Scheme != "ws":
		return fail("its scheme is not wss")
	case u.User != nil:
		return fail("it holds a user name")
	case !validHost(u):
		return fail("it has no valid host and port")
	}
	sessionID, ok := dataChannelSession(u.EscapedPath())
	if !ok {
		return fail("its path is not /v1/data-channel/{session-id}")
	}
	partition, region := ssmmessagesRegion(u.Hostname())
	if u.Scheme == "ws" && partition != "" {
		return fail("its scheme is ws, but AWS hosts speak wss only")
	}
	role, presigned := parseStreamQuery(u.RawQuery)
	return StreamURL{
		Partition: partition,
		Region:    region,
		Host:      u.Host,
		SessionID: sessionID,
		Role:      role,
		Presigned: presigned,
		raw:       func() string { return raw },
	}, nil
}

// withHost returns u with another host, but with the partition and Region that
// the service named: they are what a signature is made for.
func (u StreamURL) withHost(host string) (StreamURL, error) {
	scheme, rest, _ := strings.Cut(u.DialURL(), "://")
	_, path, _ := strings.Cut(rest, "/")
	moved, err := ParseStreamURL(scheme + "://" + host + "/" + path)
	if err != nil {
		return StreamURL{}, err
	}
	moved.Partition, moved.Region = u.Partition, u.Region
	return moved, nil
}

// dataChannelSession returns the session ID in an escaped path
// /v1/data-channel/{session-id}.
func dataChannelSession(path string) (string, bool) {
	number, escaped, found := strings.Cut(strings.TrimPrefix(path, "/v"), "/data-channel/")
	if !found || number == "" || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	id, err := url.PathUnescape(escaped)
	if err != nil || id == "" || id == "." || id == ".." || !utf8.ValidString(id) ||
		strings.ContainsFunc(id, func(r rune) bool { return r == '/' || unicode.IsControl(r) }) {
		return "", false
	}
	return id, true
}

// parseStreamQuery does without url.ParseQuery, which drops what it cannot
// parse: a broken query must not hide a signature.
func parseStreamQuery(query string) (role Role, presigned bool) {
	var stream Role
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		switch key = unescapeQuery(key); {
		case isSignatureParameter(key):
			presigned = true
		case key == "role" && role == "":
			role = Role(unescapeQuery(value))
		case key == "stream" && stream == "":
			stream = Role(unescapeQuery(value))
		}
	}
	if role == "" {
		role = stream
	}
	return role, presigned
}

// unescapeQuery returns s as it is if it is not well escaped.
func unescapeQuery(s string) string {
	if v, err := url.QueryUnescape(s); err == nil {
		return v
	}
	return s
}

// isSignatureParameter knows the query parameters of SigV4, in any case.
func isSignatureParameter(key string) bool {
	const prefix = "X-Amz-"
	if len(key) < len(prefix) || !strings.EqualFold(key[:len(prefix)], prefix) {
		return false
	}
	switch strings.ToLower(key[len(prefix):]) {
	case "algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token":
		return true
	}
	return false
}

// DialURL returns exactly what the service sent, to be dialled as it is. It is
// a secret when Presigned.
func (u StreamURL) DialURL() string {
	if u.raw == nil {
		return ""
	}
	return u.raw()
}

// String returns the URL with its query masked. It is safe to print and cannot
// be dialled.
func (u StreamURL) String() string {
	if u.IsZero() {
		return ""
	}
	if u.Host == "" { // not parsed, so any part of it may be secret
		return redacted
	}
	base, query, ok := strings.Cut(u.DialURL(), "?")
	if ok && query != "" {
		base += "?" + redacted
	}
	return base
}

// IsZero reports whether u holds no URL.
func (u StreamURL) IsZero() bool { return u.raw == nil }

// Equal reports whether both are the same URL, byte for byte.
func (u StreamURL) Equal(v StreamURL) bool { return u.DialURL() == v.DialURL() }

// Format prints String, whatever the verb.
func (u StreamURL) Format(s fmt.State, _ rune) { io.WriteString(s, u.String()) }

// LogValue returns String.
func (u StreamURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText returns String, in encoding/json and encoding/xml too.
func (u StreamURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText fails: a printed URL has lost its query. Use [ParseStreamURL].
func (*StreamURL) UnmarshalText([]byte) error {
	return errors.New("ssmresume: a StreamURL cannot be decoded from text; use ParseStreamURL")
}
