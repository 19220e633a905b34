// helm_render.go renders a chart's templates with Go's own template engine, which is Helm's, and the few of Helm's functions
// that the chart calls. Values come as JSON on standard input (with Chart and Release), templates as arguments.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"
)

func main() {
	var values map[string]any
	t := template.New("chart").Option("missingkey=error")
	t.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var b bytes.Buffer
			err := t.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
		"nindent": func(n int, s string) string {
			pad := strings.Repeat(" ", n)
			return "\n" + pad + strings.ReplaceAll(s, "\n", "\n"+pad)
		},
		"toYaml": func(v any) (string, error) {
			lines, err := block(v)
			return strings.Join(lines, "\n"), err
		},
		"quote":     func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"sha256sum": func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
	})
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		fatal(err)
	}
	if _, err := t.ParseFiles(os.Args[1:]...); err != nil {
		fatal(err)
	}
	for _, path := range os.Args[1:] {
		if strings.HasPrefix(filepath.Base(path), "_") {
			continue
		}
		fmt.Println("---")
		if err := t.ExecuteTemplate(os.Stdout, filepath.Base(path), values); err != nil {
			fatal(err)
		}
	}
}

// block writes v as Helm does, a line an entry: what is put among other lines must fit there. Scalars and what is empty are as in JSON.
func block(v any) ([]string, error) {
	var lines []string
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			name, _ := json.Marshal(key)
			below, err := block(v[key])
			if err != nil {
				return nil, err
			}
			if isScalar(v[key]) {
				lines = append(lines, string(name)+": "+below[0])
				continue
			}
			lines = append(lines, string(name)+":")
			for _, line := range below {
				lines = append(lines, "  "+line)
			}
		}
	case []any:
		for _, item := range v {
			below, err := block(item)
			if err != nil {
				return nil, err
			}
			for i, line := range below {
				lines = append(lines, map[bool]string{true: "- ", false: "  "}[i == 0]+line)
			}
		}
	}
	if len(lines) > 0 {
		return lines, nil
	}
	b, err := json.Marshal(v)
	return []string{string(b)}, err
}

func isScalar(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return true
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
