package main

//lint:file-ignore ST1005 the texts of the errors are the AWS CLI's

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	// The CLI prints the members of an object in order. Go's maps have none, so
	// the order comes from the query's syntax tree, and of the two JMESPath
	// libraries for Go this is the one that shows it. The other's last release,
	// jmespath/go-jmespath v0.4.0, is of 2020.
	"github.com/jmespath-community/go-jmespath/pkg/functions"
	"github.com/jmespath-community/go-jmespath/pkg/interpreter"
	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// A printer prints what a query selects of the answer.
type printer struct {
	text  bool // else JSON
	query parsing.ASTNode
	order keyOrder
}

func newPrinter(a *args) (*printer, error) {
	output := a.output.value
	if output == "" && !a.local.set {
		output = os.Getenv("AWS_DEFAULT_OUTPUT")
	}
	p := &printer{text: output == "text"}
	if output != "" && output != "json" && output != "text" {
		return nil, fmt.Errorf("Unknown output type: %s", output)
	}
	expression := "@"
	if a.query.set {
		expression = a.query.value
	}
	var err error
	if p.query, err = parsing.NewParser().Parse(expression); err != nil {
		return nil, fmt.Errorf("Bad value for --query %s: %w", expression, err)
	}
	p.order.learn(&p.query)
	p.order = append(p.order, "SessionId", "TokenValue", "StreamUrl")
	return p, nil
}

// print leaves out what is empty, which is what the service did not send.
func (p *printer) print(w io.Writer, sessionID, token, streamURL string) error {
	answer := map[string]any{"SessionId": sessionID, "TokenValue": token, "StreamUrl": streamURL}
	maps.DeleteFunc(answer, func(_ string, v any) bool { return v == "" })

	result, err := p.search(answer)
	if err != nil {
		return p.explain(answer)
	}
	var out []byte
	if p.text {
		out = []byte(printable(string(appendText(nil, result, "", nil))))
	} else if out, err = p.order.formatJSON(result); err != nil {
		return fmt.Errorf("What the --query selects cannot be printed: %w", err)
	}
	_, err = w.Write(out)
	return err
}

// search runs the query.
func (p *printer) search(answer map[string]any) (_ any, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the query's library failed")
		}
	}()
	calls := interpreter.NewFunctionCaller(append(functions.GetDefaultFunctions(), p.order.functions()...)...)
	return interpreter.NewInterpreter(answer, calls, nil).Execute(p.query, answer)
}

// explain says why the query failed. The library's errors repeat what the query
// made of the answer, the token, say, in upper case. So the error is that of the
// same query of an answer without secrets.
func (p *printer) explain(answer map[string]any) error {
	shape := map[string]any{}
	for key := range answer {
		shape[key] = "..."
	}
	if _, err := p.search(shape); err != nil {
		return fmt.Errorf("The --query cannot be answered: %w", err)
	}
	return errors.New("The --query cannot be answered: it fails for the values of this answer")
}

// A keyOrder lists keys of JSON objects in the order in which the CLI prints
// them, which Go's maps do not keep.
type keyOrder []string

// learn adds the keys of the objects that a query makes. It also rewrites the
// query's "*", which would list an object's values in the map's order, to a call
// of the function of that name.
func (o *keyOrder) learn(n *parsing.ASTNode) {
	switch n.NodeType {
	case parsing.ASTKeyValPair:
		*o = append(*o, n.Value.(string))
	case parsing.ASTValueProjection:
		n.NodeType = parsing.ASTProjection
		n.Children[0] = parsing.ASTNode{NodeType: parsing.ASTFunctionExpression, Value: "*", Children: []parsing.ASTNode{n.Children[0]}}
	}
	for i := range n.Children {
		o.learn(&n.Children[i])
	}
}

// functions are those that list the members of an object.
func (o keyOrder) functions() []functions.FunctionEntry {
	values := func(args []any) (any, error) {
		object, ok := args[0].(map[string]any)
		if !ok {
			return nil, nil
		}
		list := []any{}
		for _, key := range o.keys(object) {
			list = append(list, object[key])
		}
		return list, nil
	}
	keys := func(args []any) (any, error) {
		list := []any{}
		for _, key := range o.keys(args[0].(map[string]any)) {
			list = append(list, key)
		}
		return list, nil
	}
	object := []functions.ArgSpec{{Types: []functions.JpType{functions.JpObject}}}
	return []functions.FunctionEntry{
		{Name: "keys", Arguments: object, Handler: keys},
		{Name: "values", Arguments: object, Handler: values},
		{Name: "*", Handler: values},
	}
}

func (o keyOrder) keys(object map[string]any) []string {
	rank := func(key string) int {
		if i := slices.Index(o, key); i >= 0 {
			return i
		}
		return len(o)
	}
	return slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
}

// formatJSON indents by four spaces. The CLI prints nothing for an empty object.
func (o keyOrder) formatJSON(v any) ([]byte, error) {
	if object, ok := v.(map[string]any); ok && len(object) == 0 {
		return nil, nil
	}
	compact, err := o.appendJSON(nil, v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "    "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func (o keyOrder) appendJSON(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for i, key := range o.keys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = o.appendJSON(b, key); err != nil {
				return nil, err
			}
			if b, err = o.appendJSON(append(b, ':'), v[key]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = o.appendJSON(b, element); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	s, err := scalarJSON(v)
	return append(b, s...), err
}

func scalarJSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return escapeJSON(strings.TrimSpace(b.String())), err
}

// escapeJSON escapes what printable does: encoding/json does so below 0x20 only.
func escapeJSON(s string) string {
	var b []byte
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return string(b)
}

// appendText writes a value as --output text does: what is scalar in an object
// on one line, sorted by key; what is not on lines of its own, after its name.
// Objects in one list have the same columns.
func appendText(b []byte, v any, name string, columns []string) []byte {
	switch v := v.(type) {
	case map[string]any:
		return appendTextObject(b, v, name, columns)
	case []any:
		return appendTextList(b, v, name)
	}
	return fmt.Appendln(b, pythonString(v))
}

func appendTextObject(b []byte, object map[string]any, name string, columns []string) []byte {
	if columns == nil {
		columns = scalarKeys(object)
	}
	var row []string
	for _, key := range columns {
		cell := ""
		if v, ok := object[key]; ok {
			cell = pythonString(v)
		}
		row = append(row, cell)
	}
	if len(row) > 0 {
		if name != "" {
			row = slices.Insert(row, 0, strings.ToUpper(name))
		}
		b = fmt.Appendln(b, strings.Join(row, "\t"))
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(columns, key) {
			b = appendText(b, object[key], key, nil)
		}
	}
	return b
}

func appendTextList(b []byte, list []any, name string) []byte {
	var columns, scalars []string
	var others []any
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			columns = append(columns, scalarKeys(object)...)
		}
		if isScalar(element) {
			scalars = append(scalars, pythonString(element))
		} else {
			others = append(others, element)
		}
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	switch {
	case name != "":
		for _, s := range scalars {
			b = fmt.Appendf(b, "%s\t%s\n", strings.ToUpper(name), s)
		}
	case len(scalars) > 0:
		b = fmt.Appendln(b, strings.Join(scalars, "\t"))
	}
	for _, element := range others {
		b = appendText(b, element, name, columns)
	}
	return b
}

func scalarKeys(object map[string]any) []string {
	var keys []string
	for key, v := range object {
		if isScalar(v) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// pythonString prints a JSON value as Python's str does, but an array or an
// object as JSON.
func pythonString(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return strings.ToUpper(fmt.Sprint(v)[:1]) + fmt.Sprint(v)[1:]
	case string:
		return v
	case []byte:
		return fmt.Sprintf("b'%s'", v)
	}
	s, err := keyOrder(nil).appendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(s)
}
