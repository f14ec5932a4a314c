package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML prints the configuration as a file that Load reads, every key in the
// order of its section. Secrets are hidden, and Load refuses what hides them.
func (c Config) YAML() ([]byte, error) {
	node, err := section(reflect.ValueOf(c))
	if err != nil {
		return nil, fmt.Errorf("config: print: %w", err)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return nil, fmt.Errorf("config: print: %w", err)
	}
	return b.Bytes(), e.Close()
}

// section makes a mapping of a struct, by the names that mapstructure uses.
func section(v reflect.Value) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		name, squash, _ := strings.Cut(v.Type().Field(i).Tag.Get("mapstructure"), ",")
		value, err := printed(v.Field(i))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if squash == "squash" {
			out.Content = append(out.Content, value.Content...)
			continue
		}
		key := &yaml.Node{}
		key.SetString(name)
		out.Content = append(out.Content, key, value)
	}
	return out, nil
}

func printed(v reflect.Value) (*yaml.Node, error) {
	out := &yaml.Node{}
	switch value := v.Interface().(type) {
	case time.Duration:
		out.SetString(value.String())
		return out, nil
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		out.SetString(string(text))
		out.Style = yaml.DoubleQuotedStyle
		return out, err
	}
	switch v.Kind() { //nolint:exhaustive // yaml knows the others
	case reflect.Struct:
		return section(v)
	case reflect.Slice:
		out.Kind = yaml.SequenceNode
		if v.Type().Elem().Kind() != reflect.Struct {
			out.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			element, err := printed(v.Index(i))
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, element)
		}
		return out, nil
	}
	return out, out.Encode(v.Interface())
}
