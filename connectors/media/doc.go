// Package media fetches images from URLs that strangers wrote. It implements the Fetcher of stages/media.
//
// Every URL is hostile until shown otherwise. It may name our own network, by any spelling, by a DNS record, by one that
// changes between two look-ups, or by a redirect; its host may answer slowly, endlessly or with a bomb.
//
// Which addresses may be reached? Read guard.go: the address is checked when it is dialled, after every look-up, so no name
// can change its mind in between. url.go refuses what can be refused before a look-up.
// What bounds time and size? client.go follows one URL, body.go reads one answer.
// Met a URL that does harm? Add it to testdata/hostile/urls.jsonl; an answer, to hostile_test.go.
// How do hosts share us? turns.go limits what runs at once, pauses.go leaves failing hosts alone for a while.
package media
