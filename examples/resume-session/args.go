package main

//lint:file-ignore ST1005 the texts of the errors are the AWS CLI's

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const usage = `usage: resume-session --session-id ID [options]

  --session-id ID                  the session to resume; file://PATH reads the ID from a file
  --cli-input-json JSON            the input as {"SessionId": ID}; file://PATH reads it from a file
  --generate-cli-skeleton [WHAT]   print a sample of the input (the default) or the output, and call nothing
  --local                          resume at a test endpoint inside this program
  --region REGION  --profile NAME  --endpoint-url URL  --no-sign-request
  --output json|text               default: AWS_DEFAULT_OUTPUT, or json
  --query EXPRESSION               print only what this JMESPath expression selects

`

// A usageError is a command line that the usage text answers.
type usageError struct {
	status  int
	message string
}

func (e *usageError) Error() string { return e.message }

func parseError(format string, args ...any) error {
	return &usageError{2, "resume-session: error: " + fmt.Sprintf(format, args...)}
}

// An option is one that the command line may give, and what it gave.
type option struct {
	name    string
	flag    bool     // takes no value
	bare    string   // the value where none follows; empty: one must follow
	choices []string // empty: any

	set   bool
	value string
}

type args struct {
	region, profile, endpointURL, noSignRequest, output, query option // the CLI's global options
	sessionID, cliInputJSON, skeleton, local                   option // the command's own
	help                                                       bool
}

func parseArgs(argv []string) (*args, error) {
	a := &args{
		region:        option{name: "--region"},
		profile:       option{name: "--profile"},
		endpointURL:   option{name: "--endpoint-url"},
		noSignRequest: option{name: "--no-sign-request", flag: true},
		output:        option{name: "--output", choices: []string{"json", "text"}},
		query:         option{name: "--query"},
		sessionID:     option{name: "--session-id"},
		cliInputJSON:  option{name: "--cli-input-json"},
		skeleton:      option{name: "--generate-cli-skeleton", bare: "input", choices: []string{"input", "output"}},
		local:         option{name: "--local", flag: true},
	}
	// The CLI takes the global options out first. So does this: it decides what
	// is the value of what.
	rest, err := parseOptions(argv, &a.region, &a.profile, &a.endpointURL, &a.noSignRequest, &a.output, &a.query)
	if err != nil {
		return nil, err
	}
	idRequired := sessionIDRequired(rest)
	rest, err = parseOptions(rest, &a.sessionID, &a.cliInputJSON, &a.skeleton, &a.local)
	a.help = slices.Contains(rest, "help")
	switch {
	case err != nil:
		return nil, err
	case a.help:
	case idRequired && !a.sessionID.set:
		return nil, parseError("the following arguments are required: --session-id")
	case len(rest) > 0:
		return nil, &usageError{255, "Unknown options: " + strings.Join(rest, ", ")}
	}
	if u, err := url.Parse(a.endpointURL.value); a.endpointURL.set && (err != nil || u.Scheme == "") {
		return nil, fmt.Errorf(`Bad value for --endpoint-url "%s": scheme is missing.  Must be of the form http://<hostname>/ or https://<hostname>/`, a.endpointURL.value)
	}
	return a, nil
}

// sessionIDRequired looks for the options that make --session-id optional, as
// the CLI does: spelled out, with the value in an argument of its own.
func sessionIDRequired(argv []string) bool {
	if slices.Contains(argv, "--cli-input-json") {
		return false
	}
	i := slices.Index(argv, "--generate-cli-skeleton")
	return i < 0 || i+1 < len(argv) && argv[i+1] == "output"
}

// parseOptions follows Python's argparse: an option may be shortened as long as
// it is one, may be joined to its value by "=", and the last one counts. It
// returns the arguments that are neither an option nor the value of one.
func parseOptions(argv []string, options ...*option) (rest []string, err error) {
	for i := 0; i < len(argv); i++ {
		name, value, joined := strings.Cut(argv[i], "=")
		o, err := findOption(name, options)
		if err != nil {
			return nil, err
		}
		if o == nil {
			rest = append(rest, argv[i])
			continue
		}
		switch {
		case o.flag && joined:
			return nil, parseError("argument %s: ignored explicit argument '%s'", o.name, value)
		case o.flag, joined:
		case i+1 < len(argv) && !looksLikeOption(argv[i+1], options):
			i++
			value = argv[i]
		case o.bare != "":
			value = o.bare
		default:
			return nil, parseError("argument %s: expected one argument", o.name)
		}
		if len(o.choices) > 0 && !slices.Contains(o.choices, value) {
			return nil, parseError("argument %s: Invalid choice, valid choices are: %s", o.name, strings.Join(o.choices, ", "))
		}
		o.set, o.value = true, value
	}
	return rest, nil
}

// findOption returns nil if name is no option's, nor the beginning of one's.
func findOption(name string, options []*option) (*option, error) {
	if !strings.HasPrefix(name, "--") || name == "--" {
		return nil, nil
	}
	var found []*option
	for _, o := range options {
		if o.name == name {
			return o, nil
		}
		if strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, parseError("ambiguous option: %s could match %s, %s", name, found[0].name, found[1].name)
}

var negativeNumber = regexp.MustCompile(`^-(\d+|\d*\.\d+)$`)

// looksLikeOption reports whether arg cannot be a value.
func looksLikeOption(arg string, options []*option) bool {
	if !strings.HasPrefix(arg, "-") || arg == "-" {
		return false
	}
	name, _, _ := strings.Cut(arg, "=")
	if o, err := findOption(name, options); o != nil || err != nil {
		return true
	}
	return !negativeNumber.MatchString(arg) && !strings.Contains(arg, " ")
}

// parameters returns the call's input, not yet validated.
func (a *args) parameters() (map[string]any, error) {
	params := make(map[string]any)
	if a.cliInputJSON.set {
		text, err := loadParameter(a.cliInputJSON)
		if err != nil {
			return nil, err
		}
		err = json.Unmarshal([]byte(text), &params)
		if err == nil && params == nil {
			err = errors.New("not an object")
		}
		if err != nil {
			return nil, fmt.Errorf("Error parsing parameter 'cli-input-json': Invalid JSON: %w\nJSON received: %s", err, text)
		}
	}
	if a.sessionID.set {
		id, err := loadParameter(a.sessionID)
		if err != nil {
			return nil, err
		}
		params["SessionId"] = id
		if strings.HasPrefix(a.sessionID.value, "fileb://") {
			params["SessionId"] = []byte(id)
		}
	}
	return params, nil
}

// loadParameter returns the option's value, or the content of the file it names:
// text with file://, any bytes with fileb://.
func loadParameter(o option) (string, error) {
	scheme, path, _ := strings.Cut(o.value, "://")
	if scheme != "file" && scheme != "fileb" {
		return o.value, nil
	}
	data, err := os.ReadFile(expandPath(path))
	if err != nil {
		return "", fmt.Errorf("Error parsing parameter '%s': Unable to load paramfile %s: %w", o.name, o.value, err)
	}
	if scheme == "fileb" {
		return string(data), nil
	}
	if !utf8.Valid(data) {
		return "", fmt.Errorf("Error parsing parameter '%s': Unable to load paramfile (%s), text contents could not be decoded.", o.name, path)
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), nil
}

// expandPath replaces a leading ~ and the variables that are set.
func expandPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	return os.Expand(path, func(name string) string {
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return "$" + name
	})
}

// validate returns the session ID. The maximum of 96 characters is left to the
// service, as in the CLI.
func validate(params map[string]any) (string, error) {
	var problems []string
	value, ok := params["SessionId"]
	if !ok {
		problems = append(problems, `Missing required parameter in input: "SessionId"`)
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name != "SessionId" {
			problems = append(problems, fmt.Sprintf(`Unknown parameter in input: "%s", must be one of: SessionId`, name))
		}
	}
	id, isString := value.(string)
	switch {
	case ok && !isString:
		problems = append(problems, fmt.Sprintf("Invalid type for parameter SessionId, value: %s, type: <class '%s'>, valid types: <class 'str'>", pythonString(value), pythonType(value)))
	case ok && id == "":
		problems = append(problems, "Invalid length for parameter SessionId, value: 0, valid min length: 1")
	}
	if len(problems) > 0 {
		return "", errors.New("Parameter validation failed:\n" + strings.Join(problems, "\n"))
	}
	return id, nil
}

func pythonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case float64:
		if v == math.Trunc(v) {
			return "int"
		}
		return "float"
	case []byte:
		return "bytes"
	case []any:
		return "list"
	}
	return "dict"
}
