package ssmresume

import (
	"errors"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// maxText bounds each text of others' that an error keeps: a code, a message, a
// request ID, a header's value.
const maxText = 1 << 10

// scrub is where text of others leaves: the service's, a proxy's, a provider's. It
// cuts it to maxText and hides what it repeats of secret, the session token of the
// credentials. (AWS may explain a wrong signature by the request that it signed.)
func scrub(text, secret string) string {
	if len(text) > maxText {
		const more = "…"
		text = strings.ToValidUTF8(text[:maxText-len(more)], "") + more
	}
	return mask(text, secret)
}

// scrubHeader returns a copy of h that an error may keep.
func scrubHeader(h http.Header, secret string) http.Header {
	kept := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			if len(name) <= maxText {
				kept[name] = append(kept[name], scrub(v, secret))
			}
		}
	}
	return kept
}

// scrubError returns err with its text scrubbed. Where that repeats the secret, the
// errors inside do so too, and only what this package looks for is found in them.
func scrubError(err error, secret string) error {
	if text := err.Error(); mask(text, secret) != text {
		return maskedError{scrub(text, secret), err}
	}
	return escapedError{err}
}

type maskedError struct {
	text string
	err  error
}

func (e maskedError) Error() string { return printable(e.text) }

func (e maskedError) As(target any) bool {
	switch target.(type) {
	case **providerError, **answeredError, **timeoutError:
		return errors.As(e.err, target)
	}
	return false
}

// maskedPart is how much of a secret is one. What is cut off may begin or end
// anywhere; AWS's tokens have some hundred characters.
const maskedPart = 8

// mask hides each part of text that is one of secret, however it is escaped for a
// URL, HTML or JSON, or broken into lines.
func mask(text, secret string) string {
	const part = maskedPart
	if len(secret) < part || len(text) < part {
		return text
	}
	plain, at := unescape(text)
	var b strings.Builder
	shown := 0 // of text
	for i := 0; i+part <= len(plain); i++ {
		if !strings.Contains(secret, plain[i:i+part]) {
			continue
		}
		end := i + part
		for end < len(plain) && strings.Contains(secret, plain[end+1-part:end+1]) {
			end++
		}
		b.WriteString(text[shown:at[i]] + redacted)
		shown, i = at[end], end-1
	}
	return b.String() + text[shown:]
}

// unescape returns text as it was before it was escaped and wrapped, and where in
// text each byte begins.
func unescape(text string) (string, []int) {
	var plain strings.Builder
	at := make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		s, n := unescapeOne(text[i:])
		for range len(s) {
			at = append(at, i)
		}
		plain.WriteString(s)
		i += n
	}
	return plain.String(), append(at, len(text))
}

// unescapeOne returns what s begins with, and of how many bytes it was made.
func unescapeOne(s string) (string, int) {
	number := func(digits string, n int) (string, int) {
		if c, err := strconv.ParseUint(digits, 16, 7); err == nil {
			return string(rune(c)), n
		}
		return s[:1], 1
	}
	switch {
	case s[0] <= ' ':
		return "", 1
	case s[0] == '%' && len(s) >= 3:
		return number(s[1:3], 3)
	case s[0] == '\\' && len(s) >= 6 && s[1] == 'u':
		return number(s[2:6], 6)
	case s[0] == '\\' && len(s) >= 4 && s[1] == 'x':
		return number(s[2:4], 4)
	case s[0] == '\\' && len(s) >= 2 && strings.IndexByte("nrt", s[1]) >= 0:
		return "", 2
	case s[0] == '\\':
		return "", 1
	case s[0] == '&':
		if end := strings.IndexByte(s[:min(len(s), 10)], ';'); end > 0 {
			return html.UnescapeString(s[:end+1]), end + 1
		}
	}
	return s[:1], 1
}
