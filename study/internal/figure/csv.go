package figure

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Content writes a file.
type Content func(io.Writer) error

// WriteFiles writes files by their names into a folder, which it makes.
func WriteFiles(dir string, files map[string]Content) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, write := range files {
		var buf bytes.Buffer
		if err := write(&buf); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// CSV is a table; rows calls row for each of its lines.
func CSV(header []string, rows func(row func(...any))) Content {
	return func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		rows(func(cells ...any) {
			var line []string
			for _, c := range cells {
				line = append(line, csvText(c))
			}
			_ = out.Write(line) // Error tells
		})
		out.Flush()
		return out.Error()
	}
}

// csvText writes times in seconds.
func csvText(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return fmt.Sprintf("%.3f", v.Seconds())
	case float64:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprint(v)
}

// A Record is a line of a CSV file, by the names of its columns.
type Record struct {
	Values map[string]string
	Err    error // the first
}

// ReadCSV reads what CSV wrote.
func ReadCSV(name string) ([]Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%s: there is nothing in it", name)
	}
	var records []Record
	for _, line := range lines[1:] {
		r := Record{Values: map[string]string{}}
		for i, value := range line {
			r.Values[lines[0][i]] = value
		}
		records = append(records, r)
	}
	return records, nil
}

// Number, Count and Seconds read a column. An error goes to Err.
func (r *Record) Number(column string) float64 {
	n, err := strconv.ParseFloat(r.Values[column], 64)
	if err != nil && r.Err == nil {
		r.Err = fmt.Errorf("column %s: %w", column, err)
	}
	return n
}

func (r *Record) Count(column string) int { return int(r.Number(column)) }

func (r *Record) Seconds(column string) time.Duration {
	return time.Duration(r.Number(column) * float64(time.Second)).Round(time.Millisecond)
}
