package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// EnvPrefix begins every environment variable that sets a key:
// ITRSTREAM_KAFKA_BROKERS sets kafka.brokers.
const EnvPrefix = "ITRSTREAM"

// notKeys are variables with our prefix that are no keys: what finds ONNX
// Runtime and Kafka's jars, and what Kubernetes sets for a service called
// itrstream.
var notKeys = regexp.MustCompile(`^ITRSTREAM_(ONNXRUNTIME|KAFKA_LIBS|(.*_)?SERVICE_(HOST|PORT.*)|(.*_)?PORT(_[0-9]+_(TCP|UDP).*)?)$`)

// Load reads a YAML file (none when path is empty) over the defaults,
// ITRSTREAM_… of environ over the file, and key=value settings over both. It
// reports every fault at once; the result is valid.
func Load(path string, environ, settings []string) (Config, error) {
	v, err := defaults()
	if err != nil {
		return Config{}, err
	}
	known := v.AllKeys()

	var errs []error
	if path != "" {
		errs = append(errs, mergeFile(v, path, known)...)
	}
	errs = append(errs, mergeEnviron(v, environ, known)...)
	errs = append(errs, mergeSettings(v, settings, known)...)
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}

	cfg := Default()
	err = v.UnmarshalExact(&cfg, func(d *mapstructure.DecoderConfig) {
		d.ZeroFields = true        // a list replaces the default, it doesn't overlay it
		d.WeaklyTypedInput = false // 0123 is no group's name, and 2 is not true
		d.DecodeHook = mapstructure.ComposeDecodeHookFunc(
			scalarHook,
			mapstructure.StringToWeakSliceHookFunc(","),
		)
	})
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return cfg, cfg.Validate()
}

func mergeFile(v *viper.Viper, path string, known []string) []error {
	file := viper.New()
	file.SetConfigFile(path)
	file.SetConfigType("yaml")
	if err := file.ReadInConfig(); err != nil {
		return []error{fmt.Errorf("config: %s: %w", path, err)}
	}
	var errs []error
	for _, key := range file.AllKeys() {
		if err := checkKey(key, known); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	if err := v.MergeConfigMap(file.AllSettings()); err != nil {
		errs = append(errs, fmt.Errorf("config: %s: %w", path, err))
	}
	return errs
}

func mergeEnviron(v *viper.Viper, environ, known []string) []error {
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix+"_") || notKeys.MatchString(name) {
			continue
		}
		i := slices.IndexFunc(known, func(key string) bool { return name == Variable(key) })
		if i < 0 {
			errs = append(errs, fmt.Errorf("environment: %s: no key has this variable; ITRSTREAM_KAFKA_GROUP, for example, sets kafka.group", name))
			continue
		}
		v.Set(known[i], value)
	}
	return errs
}

func mergeSettings(v *viper.Viper, settings, known []string) []error {
	var errs []error
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			// What follows the key may be a secret behind the wrong sign.
			name := key[:len(key)-len(strings.TrimLeft(strings.ToLower(key), "abcdefghijklmnopqrstuvwxyz0123456789._"))]
			errs = append(errs, fmt.Errorf("--set %s: must be key=value, as in kafka.group=labels", name))
			continue
		}
		if err := checkKey(strings.ToLower(key), known); err != nil {
			errs = append(errs, fmt.Errorf("--set: %w", err))
			continue
		}
		v.Set(key, value)
	}
	return errs
}

// Variable returns the environment variable that sets a key.
func Variable(key string) string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func checkKey(key string, known []string) error {
	if slices.Contains(known, key) {
		return nil
	}
	if slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, key+".") }) {
		return fmt.Errorf("%s: is a section; its keys go below it", key)
	}
	section := ""
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		section = key[:i+1]
	}
	var allowed []string
	for _, k := range known {
		if rest, ok := strings.CutPrefix(k, section); ok {
			name, _, _ := strings.Cut(rest, ".")
			allowed = append(allowed, name)
		}
	}
	slices.Sort(allowed)
	allowed = slices.Compact(allowed)
	if len(allowed) == 0 {
		return fmt.Errorf("%s: unknown key", key)
	}
	return fmt.Errorf("%s: unknown key; allowed here: %s", key, strings.Join(allowed, ", "))
}

// defaults is what holds before anything is read, as nested maps by key.
func defaults() (*viper.Viper, error) {
	tree := map[string]any{}
	if err := mapstructure.Decode(Default(), &tree); err != nil {
		return nil, fmt.Errorf("config: defaults: %w", err)
	}
	v := viper.New()
	if err := v.MergeConfigMap(tree); err != nil {
		return nil, fmt.Errorf("config: defaults: %w", err)
	}
	return v, nil
}

// Keys lists every key that may be set.
func Keys() ([]string, error) {
	v, err := defaults()
	if err != nil {
		return nil, err
	}
	return v.AllKeys(), nil
}

// scalarHook reads durations, numbers and booleans out of strings, as the
// environment has them, and refuses what YAML took for something else than it
// should be. Errors show no value where it could be a secret.
func scalarHook(from, to reflect.Type, data any) (any, error) {
	if from == to {
		return data, nil
	}
	if text, ok := data.(string); ok {
		return parseScalar(text, to)
	}
	switch kind := to.Kind(); {
	case to == reflect.TypeFor[time.Duration]():
		return nil, fmt.Errorf("%v is no duration: use 500ms, 20s, 5m", data)
	case kind == reflect.String:
		return nil, errors.New("must be text: put it in quotes")
	case kind == reflect.Bool:
		return nil, fmt.Errorf("%v must be true or false", data)
	case kind == reflect.Int, kind == reflect.Int64:
		if v, ok := data.(float64); ok && v != math.Trunc(v) {
			return nil, fmt.Errorf("%v must be a whole number", data)
		}
	}
	return data, nil
}

func parseScalar(text string, to reflect.Type) (any, error) {
	switch kind := to.Kind(); {
	case to == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no duration: use 500ms, 20s, 5m", text)
		}
		return d, nil
	case kind == reflect.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q must be true or false", text)
		}
		return v, nil
	case kind == reflect.Int, kind == reflect.Int64:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q must be a whole number", text)
		}
		return v, nil
	case kind == reflect.Float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q must be a number", text)
		}
		return v, nil
	}
	return text, nil
}

// Environ is the process's environment.
func Environ() []string { return os.Environ() }
