package decode_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/itrstream/itrstream/schemas"
)

// recipe makes one entry of the corpus of hostile messages.
type recipe struct {
	hostile
	file  string
	value []byte
	null  bool
}

func (r recipe) expected() hostile {
	h := r.hostile
	if !r.null {
		h.File = r.file
	}
	return h
}

// bad is a message that must become a dead letter.
func bad(file string, reason schemas.Reason, value, tests string) recipe {
	return recipe{file: file, value: []byte(value), hostile: hostile{Outcome: schemas.OutcomeDeadLetter, Reason: reason, Tests: tests}}
}

// good is a message that looks hostile and must be accepted as it is.
func good(file, value, tests string) recipe {
	return recipe{file: file, value: []byte(value), hostile: hostile{Outcome: schemas.OutcomeResult, Post: "1", Tests: tests}}
}

// keyed is a record without a value: a delete of the post that its key names.
func keyed(key []byte, reason schemas.Reason, tests string) recipe {
	r := recipe{null: true, hostile: hostile{Key: key, Outcome: schemas.OutcomeTombstone, Post: string(key), Tests: tests}}
	if reason != "" {
		r.Outcome, r.Reason, r.Post = schemas.OutcomeDeadLetter, reason, ""
	}
	return r
}

// withKey gives a record another key.
func withKey(r recipe, key []byte) recipe {
	r.Key = key
	return r
}

func text(json string) string  { return post(`,"text":"` + json + `"`) }
func media(json string) string { return post(`,"media":[` + json + `]`) }

// recipes are all hostile messages. Limits are those of corpusConfig.
func recipes() []recipe {
	const (
		malformed = schemas.ReasonMalformed
		unknown   = schemas.ReasonSchemaUnknown
		tooLarge  = schemas.ReasonTooLarge
		notAPost  = schemas.ReasonNotAPost
	)
	all := []recipe{
		// What is no JSON object.
		bad("empty.bin", malformed, "", "a value of no bytes, which is not a null value"),
		bad("space.json", malformed, " \t\r\n ", "white space only"),
		bad("null.json", malformed, "null", "JSON's null, which is no tombstone"),
		bad("true.json", malformed, "true", "a boolean at the top"),
		bad("number.json", malformed, "42", "a number at the top"),
		bad("string.json", malformed, `"post.v1"`, "a string at the top"),
		bad("array.json", malformed, "["+post("")+"]", "a good post in an array"),
		bad("array-empty.json", malformed, "[]", "an empty array"),
		bad("two-objects.json", malformed, post("")+post(""), "two posts without anything between"),
		bad("two-lines.json", malformed, post("")+"\n"+post(""), "JSON lines"),
		bad("trailing-garbage.json", malformed, post("")+"garbage", "something behind the object"),
		bad("trailing-nul.json", malformed, post("")+"\x00", "a NUL behind the object, as of a C string"),
		bad("trailing-comma.json", malformed, `{"schema":"post.v1","post_id":"1",}`, "a comma before the end"),
		bad("single-quotes.json", malformed, `{'schema':'post.v1','post_id':'1'}`, "quotes of Python"),
		bad("comment.json", malformed, `{"schema":"post.v1",/* c */"post_id":"1"}`, "a comment"),
		bad("unquoted.json", malformed, `{schema:"post.v1",post_id:"1"}`, "names without quotes"),
		bad("nan.json", malformed, post(`,"width":NaN`), "NaN, which Python writes"),
		bad("infinity.json", malformed, post(`,"width":-Infinity`), "-Infinity, which Python writes"),
		bad("yaml.txt", malformed, "schema: post.v1\npost_id: \"1\"\n", "YAML"),
		bad("xml.txt", malformed, `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">]><post>&lol;</post>`, "XML with an entity"),
		bad("html.txt", malformed, "<script>alert(1)</script>", "HTML"),
		bad("cut-in-name.json", malformed, post("")[:20], "cut inside a name"),
		bad("cut-in-text.json", malformed, text("so far")[:46], "cut inside the text"),
		bad("cut-in-escape.json", malformed, `{"schema":"post.v1","post_id":"1","text":"\u00`, "cut inside an escape"),
		bad("cut-in-character.json", malformed, text("ü")[:43], "cut inside a character"),
		bad("cut-before-end.json", malformed, post("")[:len(post(""))-1], "the last brace is missing"),

		// What is not UTF-8 text.
		bad("bom.json", malformed, "\ufeff"+post(""), "a byte order mark, which JSON must not have"),
		bad("utf16-le.bin", malformed, utf16le(post("")), "UTF-16, little-endian"),
		bad("utf16-bom.bin", malformed, "\xff\xfe"+utf16le(post("")), "UTF-16 with its mark"),
		bad("utf32.bin", malformed, "{\x00\x00\x00\"\x00\x00\x00", "UTF-32"),
		bad("latin1.bin", malformed, text("Stra\xdfe"), "Latin-1"),
		bad("invalid-utf8.bin", malformed, text("\xc3\x28"), "a broken sequence"),
		bad("overlong-slash.bin", malformed, text("\xc0\xaf"), "an overlong slash"),
		bad("overlong-nul.bin", malformed, text("\xc0\x80"), "an overlong NUL, as Java writes"),
		bad("surrogate-bytes.bin", malformed, text("\xed\xa0\x80"), "a surrogate in UTF-8"),
		bad("beyond-unicode.bin", malformed, text("\xf4\x90\x80\x80"), "a character beyond U+10FFFF"),
		bad("invalid-utf8-unknown-field.bin", malformed, post(",\"x\":\"\xff\""), "broken bytes in a field that nobody reads"),
		bad("invalid-utf8-name.bin", malformed, post(",\"\xff\":1"), "broken bytes in a name"),
		bad("invalid-utf8-behind.bin", malformed, post("")+"\xff", "broken bytes behind the object"),
		bad("gzip.bin", malformed, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", "gzip"),
		bad("zeros.bin", malformed, string(make([]byte, 512)), "512 zeros"),
		bad("nul-raw.bin", malformed, text("a\x00b"), "a NUL in the text, raw"),
		bad("nul-escaped.json", malformed, text(`a\u0000b`), "a NUL in the text, escaped"),
		bad("nul-in-id.json", malformed, `{"schema":"post.v1","post_id":"1\u0000"}`, "a NUL in the id"),
		bad("nul-in-name.json", malformed, post(`,"a\u0000":1`), "a NUL in a name"),
		bad("nul-in-unknown-field.json", malformed, post(`,"x":["\u0000"]`), "a NUL in a field that nobody reads"),
		bad("control-character.bin", malformed, text("a\x1bb"), "an escape character, raw"),
		bad("newline-raw.bin", malformed, text("a\nb"), "a line break in a string, raw"),
		bad("lone-surrogate-high.json", malformed, text(`\ud83c`), "the first half of a pair"),
		bad("lone-surrogate-low.json", malformed, text(`\udf89`), "the second half of a pair"),
		bad("surrogates-swapped.json", malformed, text(`\udf89\ud83c`), "both halves, swapped"),
		bad("surrogate-twice.json", malformed, text(`\ud83c\ud83c`), "the first half twice"),
		bad("lone-surrogate-name.json", malformed, post(`,"\ud800":1`), "half a pair in a name"),
		bad("escape-unknown.json", malformed, text(`\x41`), "an escape of C"),
		bad("escape-short.json", malformed, text(`\u12`), "an escape of two digits"),
		bad("escape-sign.json", malformed, text(`\u+123`), "an escape with a sign"),
		bad("escape-octal.json", malformed, text(`\0`), "an escape of a NUL, as of C"),

		// Other framings.
		bad("confluent-json.bin", malformed, "\x00\x00\x00\x04\x12"+post(""), "Confluent's magic byte and schema id before JSON"),
		bad("confluent-empty.bin", malformed, "\x00\x00\x00\x04\x12", "Confluent's framing around nothing"),
		bad("confluent-avro.bin", malformed, "\x00\x00\x00\x00\x01\x06abc\x02", "Confluent's framing around Avro"),
		bad("confluent-protobuf.bin", malformed, "\x00\x00\x00\x00\x01\x00\x0a\x01a", "Confluent's framing around protobuf"),
		bad("avro-file.bin", malformed, "Obj\x01\x04\x14avro.codec", "an Avro file"),
		bad("pickle.bin", malformed, "\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07post.v1\x94.", "a pickle of Python"),
		bad("java-serialised.bin", malformed, "\xac\xed\x00\x05t\x00\x07post.v1", "a serialised object of Java"),
		bad("messagepack.bin", malformed, "\x82\xa6schema\xa7post.v1\xa7post_id\xa11", "MessagePack"),
		bad("cbor.bin", malformed, "\xa2\x66schema\x67post.v1\x67post_id\x611", "CBOR"),
		bad("cloudevent.json", unknown, `{"specversion":"1.0","type":"post","source":"x","id":"1","data":`+post("")+`}`, "a CloudEvent around a post"),
		bad("quoted-json.json", malformed, fmt.Sprintf("%q", post("")), "a post in a string"),

		// Names.
		bad("duplicate.json", malformed, post(`,"text":"a","text":"b"`), "a name twice, with other values"),
		bad("duplicate-same.json", malformed, post(`,"text":"a","text":"a"`), "a name twice, with the same value"),
		bad("duplicate-id.json", malformed, post(`,"post_id":"2"`), "two ids"),
		bad("duplicate-schema.json", malformed, post(`,"schema":"post.v2"`), "two schemas"),
		bad("duplicate-escaped.json", malformed, post(`,"p\u006fst_id":"2"`), "two ids, one in escapes"),
		bad("duplicate-all-escaped.json", malformed, post(`,"`+escaped("post_id")+`":"2"`), "two ids, one all in escapes"),
		bad("duplicate-deep.json", malformed, post(`,"x":[{"y":1,"y":2}]`), "a name twice where nobody reads"),
		bad("duplicate-empty.json", malformed, post(`,"":1,"":2`), "the empty name twice"),
		bad("duplicate-many.json", malformed, post(many(1000, func(i int) string { return fmt.Sprintf(`,"f%d":0`, i) })+`,"f7":1`), "one of a thousand names twice"),
		bad("proto-only.json", unknown, `{"__proto__":{"schema":"post.v1","post_id":"1"}}`, "a post in a prototype"),
		bad("upper-case.json", unknown, `{"SCHEMA":"post.v1","POST_ID":"1"}`, "names in capitals, which some readers accept"),
		bad("kelvin.json", malformed, `{"schema":"post.v1","post_id":"1","media":[{"`+"\u212a"+`ind":"image","kind":7}]}`, "a name that folds to another, and a wrong type"),
		good("escaped-names.json", `{"`+escaped("schema")+`":"`+escaped("post.v1")+`","`+escaped("post_id")+`":"\u0031","text":"a"}`, "names and values in escapes"),
		good("proto.json", post(`,"__proto__":{"admin":true},"constructor":{"prototype":{}},"text":""`), "names that are special in JavaScript"),
		good("thousand-names.json", post(many(1000, func(i int) string { return fmt.Sprintf(`,"f%d":0`, i) })), "a thousand fields that nobody knows"),
		good("empty-name.json", post(`,"":{"":{"":0}},"text":""`), "empty names"),
		good("unicode-names.json", post(`,"\u202e\u200b":1,"💥":2,"text":""`), "bidi and zero-width names"),

		// Numbers.
		bad("exponent-overflow.json", malformed, post(`,"width":1e999`), "a number beyond a double"),
		bad("exponent-overflow-negative.json", malformed, post(`,"width":-1e999`), "a number beyond a double, negative"),
		bad("exponent-huge.json", malformed, post(`,"width":1e99999999999999999999`), "an exponent that is itself too large"),
		bad("integer-overflow.json", malformed, post(`,"width":18446744073709551616`), "2⁶⁴"),
		bad("integer-underflow.json", malformed, post(`,"width":-9223372036854775809`), "-2⁶³-1"),
		bad("digits-many.json", malformed, post(`,"width":`+strings.Repeat("9", 10_000)), "a number of 10,000 digits"),
		bad("leading-zero.json", malformed, post(`,"width":007`), "a leading zero"),
		bad("leading-plus.json", malformed, post(`,"width":+1`), "a leading plus"),
		bad("hex.json", malformed, post(`,"width":0x10`), "a hexadecimal number"),
		bad("bare-minus.json", malformed, post(`,"width":-`), "a minus alone"),
		bad("bare-dot.json", malformed, post(`,"width":.5`), "no digit before the dot"),
		bad("dot-end.json", malformed, post(`,"width":5.`), "no digit behind the dot"),
		bad("bare-exponent.json", malformed, post(`,"width":1e`), "no digit in the exponent"),
		bad("id-number.json", malformed, `{"schema":"post.v1","post_id":9007199254740993}`, "an id as a number"),
		good("minus-zero.json", post(`,"width":-0,"height":-0.0e-0,"text":""`), "minus zero"),
		good("underflow.json", post(`,"width":1e-999,"text":""`), "a number that becomes zero"),
		good("largest.json", post(`,"a":18446744073709551615,"b":-9223372036854775808,"c":1.7976931348623157e308,"text":""`), "the largest numbers"),
		good("digits-fraction.json", post(`,"width":0.`+strings.Repeat("3", 10_000)+`,"text":""`), "a fraction of 10,000 digits"),

		// Depth.
		bad("deep-arrays.json", malformed, post(`,"x":`+strings.Repeat("[", 64)+strings.Repeat("]", 64)), "arrays one too deep"),
		bad("deep-objects.json", malformed, post(`,"x":`+strings.Repeat(`{"a":`, 64)+"0"+strings.Repeat("}", 64)), "objects one too deep"),
		bad("deep-arrays-8000.json", malformed, post(`,"x":`+strings.Repeat("[", 8_000)+strings.Repeat("]", 8_000)), "8,000 arrays"),
		bad("deep-objects-4000.json", malformed, post(`,"x":`+strings.Repeat(`{"":`, 4_000)+"0"+strings.Repeat("}", 4_000)), "4,000 objects"),
		bad("deep-open.json", malformed, strings.Repeat("[", 20_000), "20,000 brackets that nobody closes"),
		bad("deep-names-open.json", malformed, strings.Repeat(`{"a":`, 4_000), "4,000 braces that nobody closes"),
		good("deep-enough.json", post(`,"x":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`,"text":""`), "as deep as allowed"),
		good("wide.json", post(`,"x":[`+strings.Repeat("[],", 6_000)+`[]],"text":""`), "6,000 empty arrays side by side"),

		// Sizes.
		bad("message-too-large.json", tooLarge, pad(post(""), 32<<10+1), "a byte too many"),
		bad("message-too-large.bin", tooLarge, string(bytes.Repeat([]byte{0xff}, 32<<10+1)), "a byte too many, no JSON: the size is looked at first"),
		bad("text-too-long.json", tooLarge, text(strings.Repeat("x", 1025)), "a byte too many in the text"),
		bad("text-too-long-escaped.json", tooLarge, text(strings.Repeat(`\u00e9`, 513)), "a text that is too long in UTF-8"),
		bad("text-and-alt-too-long.json", tooLarge, post(`,"text":"`+strings.Repeat("x", 600)+`","media":[{"alt":"`+strings.Repeat("y", 425)+`"}]`), "text and alternative text together"),
		bad("id-too-long.json", tooLarge, `{"schema":"post.v1","post_id":"`+strings.Repeat("x", 1025)+`"}`, "an id of 1,025 bytes"),
		bad("author-too-long.json", tooLarge, post(`,"author_id":"`+strings.Repeat("x", 1025)+`"`), "an author of 1,025 bytes"),
		bad("url-too-long.json", tooLarge, media(`{"url":"http://img.example/`+strings.Repeat("x", 8192)+`"}`), "a URL beyond 8,192 bytes"),
		bad("langs-many.json", tooLarge, post(`,"langs":["en"`+strings.Repeat(`,"en"`, 32)+`]`), "33 languages"),
		bad("langs-thousands.json", tooLarge, post(`,"langs":[""`+strings.Repeat(`,""`, 5_000)+`]`), "5,001 languages"),
		bad("opt-outs-string.json", malformed, post(`,"opt_outs":"noai"`), "opt_outs that is no list"),
		bad("opt-outs-many.json", tooLarge, post(`,"opt_outs":["noai"`+strings.Repeat(`,"noai"`, 32)+`]`), "33 opt_outs"),
		bad("lang-too-long.json", tooLarge, post(`,"langs":["`+strings.Repeat("e", 65)+`"]`), "a language of 65 bytes"),
		bad("images-five.json", tooLarge, media(`{},{},{},{},{}`), "an image too many"),
		bad("images-thousand.json", tooLarge, media(`{}`+strings.Repeat(`,{}`, 999)), "a thousand images"),
		bad("images-ten-thousand.json", tooLarge, media(`{}`+strings.Repeat(`,{}`, 9_999)), "10,000 images"),
		bad("images-thousand-data.json", tooLarge, media(`{"data":"aGk="}`+strings.Repeat(`,{"data":"aGk="}`, 999)), "a thousand images with bytes"),
		bad("images-bluesky-thousand.json", tooLarge, embed(`{}`+strings.Repeat(`,{}`, 999)), "a thousand images of Bluesky"),
		bad("image-too-large.json", tooLarge, media(`{"data":"`+base64.StdEncoding.EncodeToString(make([]byte, 8<<10+1))+`"}`), "a byte too many in an image"),
		bad("image-in-url-too-large.json", tooLarge, media(`{"url":"data:image/png;base64,`+base64.StdEncoding.EncodeToString(make([]byte, 8<<10+1))+`"}`), "a byte too many in a data URL"),
		good("message-largest.json", pad(post(`,"text":""`), 32<<10), "as many bytes as allowed"),
		good("text-longest.json", text(strings.Repeat("x", 1024)), "a text as long as allowed"),
		good("text-empty.json", text(""), "no text"),
		good("videos-thousand.json", post(`,"text":"","media":[{"kind":"video"}`+strings.Repeat(`,{"kind":"video"}`, 999)+`]`), "a thousand videos, which are no images"),

		// Text that plays tricks on whoever looks at it; it is kept byte for byte.
		good("bidi.json", text("invoice\u202egnp.exe\u202c \u2066\u2067\u2068\u2069 \u061c"), "bidi overrides and isolates"),
		good("zero-width.json", text("a\u200bd\u200cm\u200di\u2060n\ufeff"), "zero-width characters"),
		good("zalgo.json", text("Z"+strings.Repeat("\u0301\u0316\u0489", 100)), "300 marks on one letter"),
		good("emoji-sequence.json", text(strings.Repeat("👩‍👩‍👧", 20)), "emoji joined by zero-width joiners"),
		good("noncharacters.json", text("\uffff\ufffe\ufdd0 \U0010ffff"), "noncharacters of Unicode"),
		good("replacement.json", text("\ufffd\ufffd"), "replacement characters that were sent as such"),
		good("private-use.json", text("\ue000\U000f0000"), "private use"),
		good("tag-characters.json", text("\U000e0041\U000e0042"), "invisible tags"),
		good("line-separators.json", text("a\u2028b\u2029c\u0085d"), "line breaks that are none in JSON"),
		good("homoglyphs.json", text("раураl"), "Cyrillic letters that look Latin"),
		good("unnormalised.json", text("e\u0301 \u00e9 \u1100\u1161 \uac00"), "composed and decomposed forms"),
		good("controls-escaped.json", text(`\u0001\u001b[31mred\u001b[0m\u007f\b\f`), "control characters and ANSI colours, escaped"),
		good("surrogate-pair.json", text(`\ud83c\udf89`), "a proper pair"),
		good("html-in-text.json", text(`<script>alert(1)<\/script><img src=x onerror=alert(1)>`), "HTML"),
		good("sql-in-text.json", text(`'; DROP TABLE posts; --`), "SQL"),
		good("template-in-text.json", text("${jndi:ldap://127.0.0.1/a} {{7*7}} %s%n"), "templates and formats"),
		good("csv-in-text.json", text("=cmd|' /C calc'!A0"), "a spreadsheet's formula"),
		good("crlf-in-text.json", text(`a\r\nSet-Cookie: b`), "a header"),
		bad("text-array.json", malformed, post(`,"text":["a"]`), "the text in an array"),
		bad("text-object.json", malformed, post(`,"text":{"$gt":""}`), "an operator in place of the text"),
		bad("text-number.json", malformed, post(`,"text":0`), "a number in place of the text"),

		// Schemas and fields.
		bad("schema-missing.json", unknown, `{"post_id":"1","text":"a"}`, "no schema"),
		bad("schema-null.json", unknown, `{"schema":null,"post_id":"1"}`, "a schema of null"),
		bad("schema-empty.json", unknown, `{"schema":"","post_id":"1"}`, "an empty schema"),
		bad("schema-newer.json", unknown, `{"schema":"post.v2","post_id":"1"}`, "a newer schema"),
		bad("schema-older.json", unknown, `{"schema":"post.v0","post_id":"1"}`, "an older schema"),
		bad("schema-result.json", unknown, `{"schema":"result.v1","post_id":"1"}`, "our own result"),
		bad("schema-space.json", unknown, `{"schema":" post.v1","post_id":"1"}`, "a space before the schema"),
		bad("schema-case.json", unknown, `{"schema":"POST.V1","post_id":"1"}`, "a schema in capitals"),
		bad("schema-homoglyph.json", unknown, `{"schema":"рost.v1","post_id":"1"}`, "a schema with a Cyrillic letter"),
		bad("schema-number.json", malformed, `{"schema":1,"post_id":"1"}`, "a schema id as a number"),
		bad("schema-array.json", malformed, `{"schema":["post.v1"],"post_id":"1"}`, "a schema in an array"),
		bad("schema-newer-other-types.json", unknown, `{"schema":"post.v2","post_id":"1","text":{"html":"a"},"langs":7}`, "a newer schema whose fields have other types"),
		bad("object-empty.json", unknown, `{}`, "an object without fields"),
		bad("id-missing.json", malformed, `{"schema":"post.v1"}`, "no id"),
		bad("id-empty.json", malformed, `{"schema":"post.v1","post_id":""}`, "an empty id"),
		bad("id-null.json", malformed, `{"schema":"post.v1","post_id":null}`, "an id of null"),
		bad("op-unknown.json", malformed, post(`,"op":"upsert"`), "an operation nobody knows"),
		bad("op-array.json", malformed, post(`,"op":["delete"]`), "the operation in an array"),
		bad("delete-without-id.json", malformed, `{"schema":"post.v1","op":"delete"}`, "a delete of nothing"),
		bad("created-at-number.json", malformed, post(`,"created_at":1788257730`), "a time as a number"),
		bad("created-at-leap.json", malformed, post(`,"created_at":"2026-02-29T00:00:00Z"`), "a day that was not"),
		bad("created-at-year.json", malformed, post(`,"created_at":"99999-01-01T00:00:00Z"`), "a year of five digits"),
		bad("sensitive-string.json", malformed, post(`,"sensitive":"true"`), "a boolean in a string"),
		bad("media-object.json", malformed, post(`,"media":{"0":{}}`), "media in an object"),
		bad("media-null.json", malformed, post(`,"media":[null]`), "no medium"),
		bad("media-nested.json", malformed, post(`,"media":[[{}]]`), "media in media"),
		bad("data-not-base64.json", malformed, media(`{"data":"%%%="}`), "bytes that are no base64"),
		bad("data-unpadded.json", malformed, media(`{"data":"aGVsbG8"}`), "base64 without its padding"),
		bad("data-loose-bits.json", malformed, media(`{"data":"aGVsbG9="}`), "base64 with loose bits: two spellings of the same bytes"),
		bad("data-url-alphabet.json", malformed, media(`{"data":"_-8="}`), "base64 for URLs"),
		bad("data-numbers.json", malformed, media(`{"data":[137,80,78,71]}`), "bytes as numbers"),
		bad("data-url-text.json", malformed, media(`{"url":"data:text/html,<script>"}`), "a data URL of HTML"),
		bad("data-url-cut.json", malformed, media(`{"url":"data:image/png;base64"}`), "a data URL without a comma"),
		good("created-at-0.json", post(`,"created_at":"0000-01-01T00:00:00Z","text":""`), "the first year"),
		good("created-at-last.json", post(`,"created_at":"9999-12-31T23:59:59.999999999Z","text":""`), "the last second"),
		bad("created-at-west.json", malformed, post(`,"created_at":"9999-12-31T23:59:59-23:59"`), "a year of five digits in UTC, which no result could say"),
		bad("created-at-east.json", malformed, post(`,"created_at":"0000-01-01T00:00:00+23:59"`), "a year before the first in UTC"),

		// Jetstream.
		bad("jetstream-no-kind.json", unknown, `{"did":"did:plc:a"}`, "an event of no kind"),
		bad("jetstream-account.json", notAPost, `{"did":"did:plc:a","kind":"account","account":{"active":false}}`, "an account's event"),
		bad("jetstream-like.json", notAPost, strings.ReplaceAll(commit(`{"$type":"app.bsky.feed.like"}`), "app.bsky.feed.post", "app.bsky.feed.like"), "a like"),
		bad("jetstream-collection-traversal.json", notAPost, strings.Replace(commit(`{"text":""}`), "app.bsky.feed.post", "app.bsky.feed.post/../x", 1), "a collection that climbs"),
		bad("jetstream-did-traversal.json", malformed, strings.Replace(commit(`{"text":""}`), "did:plc:a", "did:plc:../../x", 1), "a DID that climbs"),
		bad("jetstream-did-host.json", malformed, strings.Replace(commit(`{"text":""}`), "did:plc:a", "did:plc:a@127.0.0.1", 1), "a DID that would be a user name in a URL"),
		bad("jetstream-did-query.json", malformed, strings.Replace(commit(`{"text":""}`), "did:plc:a", "did:plc:a?x#y", 1), "a DID with a query"),
		bad("jetstream-rkey-slash.json", malformed, strings.Replace(commit(`{"text":""}`), `"rkey":"r"`, `"rkey":"a/b"`, 1), "a record key with a slash"),
		bad("jetstream-rkey-long.json", malformed, strings.Replace(commit(`{"text":""}`), `"rkey":"r"`, `"rkey":"`+strings.Repeat("r", 513)+`"`, 1), "a record key of 513 bytes"),
		bad("jetstream-cid-traversal.json", malformed, embed(`{"image":{"ref":{"$link":"../../internal"}}}`), "a CID that climbs out of its URL"),
		bad("jetstream-cid-query.json", malformed, embed(`{"image":{"ref":{"$link":"b?x=@127.0.0.1"}}}`), "a CID with a query"),
		bad("jetstream-record-array.json", malformed, commit(`[]`), "a record that is a list"),
		bad("jetstream-record-missing.json", malformed, commit(`null`), "no record"),
		bad("jetstream-error.json", notAPost, `{"$type":"error","error":"ConsumerTooSlow"}`, "the stream's own error"),
		bad("jetstream-strange-type.json", unknown, `{"$type":"message","payload":{"$type":"com.example#commit"}}`, "an event of another service"),
		bad("jetstream-labels-number.json", malformed, commit(`{"text":"","labels":{"values":[{"val":7}]}}`), "a label that is a number"),

		{
			file: "jetstream-created-at-west.json", value: []byte(commit(`{"text":"a","createdAt":"9999-12-31T23:59:59-23:59"}`)),
			hostile: hostile{
				Outcome: schemas.OutcomeResult, Post: "at://did:plc:a/app.bsky.feed.post/r",
				Tests: "an author's clock that no result could say: it is left out",
			},
		},

		// Keys, and records without a value.
		keyed([]byte("t3_1"), "", "a tombstone"),
		keyed([]byte("\u202e\u200b"), "", "a tombstone whose key cannot be seen"),
		keyed(nil, malformed, "neither key nor value"),
		keyed([]byte{}, malformed, "an empty key and no value"),
		keyed([]byte("a\xff"), malformed, "a tombstone whose key is no text"),
		keyed([]byte("a\x00"), malformed, "a tombstone whose key holds a NUL"),
		keyed([]byte("\x00\x00\x00\x00\x01\x02a"), malformed, "a tombstone whose key is framed"),
		keyed(bytes.Repeat([]byte("k"), 1025), tooLarge, "a tombstone whose key has 1,025 bytes"),
		keyed(bytes.Repeat([]byte("k"), 8193), tooLarge, "a tombstone whose key has 8,193 bytes"),
		withKey(good("key-binary.json", text("a"), "a post whose key is no text"), []byte("\x00\xff\xfe")),
		withKey(good("key-empty.json", text("a"), "a post with an empty key"), []byte{}),
		withKey(good("key-longest.json", text("a"), "a post with a key as long as allowed"), bytes.Repeat([]byte("k"), 8192)),
		withKey(bad("key-too-long.json", tooLarge, text("a"), "a post with a key of 8,193 bytes"), bytes.Repeat([]byte("k"), 8193)),
		withKey(bad("key-too-long.bin", tooLarge, "\xff", "nonsense with a key of 9,000 bytes"), bytes.Repeat([]byte{0}, 9_000)),
	}
	return all
}

// pad fills an object with a field up to size bytes.
func pad(object string, size int) string {
	const field = `,"x":""`
	return object[:len(object)-1] + field[:len(field)-1] + strings.Repeat("x", size-len(object)-len(field)) + `"}`
}

func many(n int, piece func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(piece(i))
	}
	return b.String()
}

// escaped writes every character of s as an escape.
func escaped(s string) string {
	return many(len(s), func(i int) string { return fmt.Sprintf(`\u%04x`, s[i]) })
}

func utf16le(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}
