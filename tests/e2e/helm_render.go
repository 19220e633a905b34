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
		"toYaml": func(v any) (string, error) { // JSON is YAML
			b, err := json.Marshal(v)
			return string(b), err
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

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
