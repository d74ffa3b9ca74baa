package compat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
)

// What ssmresume makes of an answer where it differs, in other words than the
// library's own.

// notAnAnswer is a DeserializationError.
func (r response) notAnAnswer(sdk result) result {
	return result{Status: r.status, RequestID: sdk.RequestID, Requests: 1}.
		find(true, "OperationError", "ResponseError", "DeserializationError")
}

// notJSON is an error whose code and message are taken from where there are
// some, as far as they are text.
func (r response) notJSON(sdk result) result {
	typ, code, message, isJSON := r.errorFields()
	sdk.Code = ""
	for _, s := range []string{r.get("X-Amzn-ErrorType"), typ, code} {
		if sdk.Code == "" {
			sdk.Code = s
		}
	}
	sdk.Code, _, _ = strings.Cut(sdk.Code, ":")
	if _, name, ok := strings.Cut(sdk.Code, "#"); ok {
		sdk.Code = name
	}
	if sdk.Code == "" {
		sdk.Code = "UnknownError"
	}
	sdk.Message = message
	switch {
	case sdk.Message != "":
	case sdk.Code == "UnknownError" && !isJSON:
		sdk.Message = r.statusMessage()
	case !modeled[sdk.Code]:
		sdk.Message = "UnknownError"
	}
	sdk.Status, sdk.Fault = r.status, "unknown"
	for _, name := range []string{"x-amz-RequestId", "x-amzn-RequestId"} {
		if id := r.get(name); id != "" {
			sdk.RequestID = id
		}
	}
	sdk.OK, sdk.Token = false, ""
	sdk = sdk.find(false, "DeserializationError").find(true, "OperationError", "APIError", "GenericAPIError", "ResponseError")
	return r.tried(sdk, r.retryable(sdk.Code))
}

// errorFields returns what of the body is text, in any spelling.
func (r response) errorFields() (typ, code, message string, isJSON bool) {
	if len(r.body) > 64<<10 {
		return "", "", "", false
	}
	var object json.RawMessage
	if err := json.NewDecoder(strings.NewReader(r.body)).Decode(&object); err != nil || object[0] != '{' {
		return "", "", "", string(object) == "null"
	}
	d := json.NewDecoder(bytes.NewReader(object))
	for d.Token(); d.More(); {
		name, _ := d.Token()
		var v any
		if err := d.Decode(&v); err != nil {
			panic(err) // the object is valid
		}
		s, isText := v.(string)
		switch {
		case strings.EqualFold(name.(string), "code"):
			code = s // the last, as in the SDK
		case isText && strings.EqualFold(name.(string), "__type"):
			typ = s
		case isText && strings.EqualFold(name.(string), "message"):
			message = s
		}
	}
	return typ, code, message, true
}

// misspelt reports whether the body has a message in another spelling than the
// two that services use.
func (r response) misspelt() bool {
	var fields map[string]any
	_ = json.NewDecoder(strings.NewReader(r.body)).Decode(&fields)
	for name := range fields {
		if strings.EqualFold(name, "message") && name != "message" && name != "Message" {
			return true
		}
	}
	return false
}

func (r response) statusMessage() string {
	return "the answer has no error code, its status is " + strconv.Itoa(r.status) + " " + http.StatusText(r.status)
}

// tried returns the result after the attempts that are made.
func (r response) tried(sdk result, retryable bool) result {
	sdk.Retryable, sdk.Requests = retryable, 1
	if retryable {
		sdk.Requests = r.maxAttempts
	}
	return sdk.find(retryable, "MaxAttemptsError")
}

// retryable is what the SDK's standard retryer says of the code and the status.
func (r response) retryable(code string) bool {
	_, status := retry.DefaultRetryableHTTPStatusCodes[r.status]
	_, timeout := retry.DefaultRetryableErrorCodes[code]
	_, throttle := retry.DefaultThrottleErrorCodes[code]
	return status || timeout || throttle || r.isThrottling(code)
}

func (r response) isThrottling(code string) bool {
	_, throttle := retry.DefaultThrottleErrorCodes[code]
	return throttle || r.status == http.StatusTooManyRequests && faults[code] == smithy.FaultUnknown
}

// meaning is the fault of the code's type, unknown for a code without one.
func (r response) meaning(code string) smithy.ErrorFault {
	switch {
	case faults[code] != smithy.FaultUnknown:
		return faults[code]
	case r.isThrottling(code), strings.HasPrefix(code, "InvalidParameter"):
		return smithy.FaultClient
	case r.status >= 500:
		return smithy.FaultServer
	case code == "UnknownError" && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden):
		return smithy.FaultClient
	}
	return smithy.FaultUnknown
}

// faults are those of the codes that have one meaning, whatever the status.
var faults = func() map[string]smithy.ErrorFault {
	m := map[string]smithy.ErrorFault{}
	for code := range strings.FieldsSeq(`DoesNotExistException AccessDeniedException AccessDenied NotAuthorized OptInRequired UnauthorizedOperation
		ExpiredTokenException ExpiredToken TokenRefreshRequired UnrecognizedClientException InvalidClientTokenId InvalidToken
		MissingAuthenticationToken MissingAuthenticationTokenException
		InvalidSignatureException SignatureDoesNotMatch IncompleteSignature IncompleteSignatureException AuthFailure RequestExpired RequestTimeTooSkewed
		ValidationException ValidationError SerializationException UnknownOperationException`) {
		m[code] = smithy.FaultClient
	}
	for code := range strings.FieldsSeq(`InternalServerError InternalServerException InternalFailure InternalError ServiceUnavailable ServiceUnavailableException`) {
		m[code] = smithy.FaultServer
	}
	return m
}()

// modeled are the codes with a type in both.
var modeled = map[string]bool{
	"DoesNotExistException": true, "AccessDeniedException": true, "ThrottlingException": true, "ValidationException": true, "InternalServerError": true,
}

// inSDK reports whether the SDK has a type for the code.
func inSDK(code string) bool {
	_, ok := ssm.TypeRegistry.DeserializableError(code)
	return ok
}

var clockCodes = map[string]bool{
	"InvalidSignatureException": true, "SignatureDoesNotMatch": true, "AuthFailure": true, "RequestTimeTooSkewed": true, "AccessDeniedException": true,
}

// clockIsOff reports whether the answer's Date is, and may be believed.
func (r response) clockIsOff() bool {
	return !r.noDate && r.date.Abs() > 4*time.Minute && r.get("Age") == ""
}

func with(r response, edit func(*response)) response {
	edit(&r)
	return r
}

func refused(request, sent) sent { return sent{Refused: true} }

var dnsName = regexp.MustCompile(`^[\w-]+(\.[\w-]+)*\.?$`)

// hostOf returns the host of an endpoint as it is in the request's Host header.
func hostOf(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("no HTTP")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err != nil && (!dnsName.MatchString(u.Hostname()) || len(u.Hostname()) > 255) ||
		err == nil && ip.Zone() != "" || strings.HasPrefix(u.Host, "[") && !ip.Is6() {
		return "", errors.New("no host")
	}
	if port, err := strconv.Atoi(cmp.Or(u.Port(), "1")); err != nil || port < 1 || port > 65535 || strings.HasSuffix(u.Host, ":") {
		return "", errors.New("no port")
	}
	return strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme]), nil
}

// redact hides each part of 8 characters or more of the session token, across white
// space.
func redact(text string) string {
	secret := make([]bool, len(text))
	var shown []int // where the characters are that are not white space
	for i := range len(text) {
		if text[i] > ' ' {
			shown = append(shown, i)
		}
	}
	for i := 0; i+8 <= len(shown); i++ {
		var part []byte
		for _, at := range shown[i : i+8] {
			part = append(part, text[at])
		}
		if strings.Contains(sessionToken, string(part)) {
			for at := shown[i]; at <= shown[i+7]; at++ {
				secret[at] = true
			}
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			out.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			out.WriteString("[redacted]")
		}
	}
	return out.String()
}
