// The client of Go's golang.org/x/oauth2: code with PKCE, refresh, client credentials, and
// password, with each way to authenticate, the one that it finds out by itself among them.
//
// The driver (`../main.rs`) puts all it has made into one environment variable, as JSON. It is also
// the browser: it follows an address through the pages, as a person who signs in and decides.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type known struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

type settings struct {
	Issuer       string   `json:"issuer"`
	Browser      string   `json:"browser"`
	Flows        []string `json:"flows"`
	API          string   `json:"api"`
	TokenType    string   `json:"token_type"`
	ExpiresIn    int64    `json:"expires_in"`
	Scope        string   `json:"scope"`
	RedirectURI  string   `json:"redirect_uri"`
	Confidential known    `json:"confidential"`
	Odd          known    `json:"odd"`
	Public       known    `json:"public"`
	User         struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	} `json:"user"`
}

type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

var (
	told   settings
	server metadata
	passed int
	never  = context.Background()
)

// check counts a check that holds, and ends with one that does not.
func check(what string, holds bool, seen ...any) {
	if !holds {
		fmt.Fprintln(os.Stderr, "failed:", what, seen)
		os.Exit(1)
	}
	passed++
}

func must[T any](value T, err error) T {
	check("no error", err == nil, err)
	return value
}

// refused checks that the library answers with an error of this code.
func refused(what, code string, err error) {
	var refusal *oauth2.RetrieveError
	check(what, errors.As(err, &refusal), err)
	check(what, strings.Contains(string(refusal.Body), `"`+code+`"`), string(refusal.Body))
}

func get(address string) (int, string) {
	answer := must(http.Get(address))
	defer answer.Body.Close()
	return answer.StatusCode, string(must(io.ReadAll(answer.Body)))
}

// decide says where the pages lead somebody who signs in and decides so.
func decide(address, decision string) url.Values {
	asked := url.Values{"url": {address}, "decision": {decision}}
	status, back := get(told.Browser + "/decide?" + asked.Encode())
	check("the pages lead on", status == http.StatusOK, back)
	check("back at the client", strings.HasPrefix(back, told.RedirectURI), back)
	query := must(url.Parse(back)).Query()
	check("who answers (RFC 9207)", query.Get("iss") == told.Issuer, back)
	return query
}

func has(flow string) bool {
	for _, known := range told.Flows {
		if known == flow {
			return true
		}
	}
	return false
}

// checkPair checks what is issued, and that it opens the API.
func checkPair(token *oauth2.Token, refreshed bool) {
	check("the type", token.TokenType == told.TokenType, token.TokenType)
	left := time.Until(token.Expiry).Seconds()
	check("the lifetime", left <= float64(told.ExpiresIn) && left > float64(told.ExpiresIn)-60, left)
	check("a refresh token", (token.RefreshToken != "") == refreshed)
	scopes, _ := token.Extra("scope").(string)
	check("the scopes", len(scopes) == len(told.Scope), scopes)
	opens(oauth2.NewClient(never, oauth2.StaticTokenSource(token)))
}

func opens(client *http.Client) {
	answer := must(client.Get(told.API))
	answer.Body.Close()
	check("the API opens", answer.StatusCode == http.StatusOK, answer.Status)
}

func config(client known, style oauth2.AuthStyle) oauth2.Config {
	return oauth2.Config{
		ClientID:     client.ID,
		ClientSecret: client.Secret,
		RedirectURL:  told.RedirectURI,
		Scopes:       strings.Fields(told.Scope),
		Endpoint: oauth2.Endpoint{
			AuthURL:   server.Authorization,
			TokenURL:  server.Token,
			AuthStyle: style,
		},
	}
}

// ways are those in which the two clients say who they are.
func ways() []oauth2.Config {
	return []oauth2.Config{
		config(told.Confidential, oauth2.AuthStyleInHeader),
		config(told.Confidential, oauth2.AuthStyleInParams),
		config(told.Confidential, oauth2.AuthStyleAutoDetect),
		config(told.Odd, oauth2.AuthStyleInHeader),
		config(told.Odd, oauth2.AuthStyleInParams),
		config(told.Public, oauth2.AuthStyleInParams),
		config(told.Public, oauth2.AuthStyleAutoDetect),
	}
}

func random() string {
	bytes := make([]byte, 32)
	must(rand.Read(bytes))
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// approved is a code, and the verifier that goes with it.
func approved(config oauth2.Config) (string, oauth2.AuthCodeOption) {
	verifier, state := random(), random()
	digest := sha256.Sum256([]byte(verifier))
	query := decide(config.AuthCodeURL(
		state,
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(digest[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256"),
	), "approve")
	check("its state", query.Get("state") == state)
	return query.Get("code"), oauth2.SetAuthURLParam("code_verifier", verifier)
}

func granted(config oauth2.Config) *oauth2.Token {
	code, verifier := approved(config)
	return must(config.Exchange(never, code, verifier))
}

func byCode() {
	for _, config := range ways() {
		checkPair(granted(config), has("refresh"))
	}
	config := ways()[0]
	code, verifier := approved(config)
	must(config.Exchange(never, code, verifier))
	_, err := config.Exchange(never, code, verifier)
	refused("a code again", "invalid_grant", err)
	code, _ = approved(config)
	_, err = config.Exchange(never, code, oauth2.SetAuthURLParam("code_verifier", random()))
	refused("another verifier", "invalid_grant", err)
	denied := decide(config.AuthCodeURL(random(),
		oauth2.SetAuthURLParam("code_challenge", random()),
		oauth2.SetAuthURLParam("code_challenge_method", "S256"),
	), "deny")
	check("denied", denied.Get("error") == "access_denied", denied)
}

func byRefresh() {
	for _, config := range ways() {
		first := granted(config)
		// The source refreshes what has expired.
		first.Expiry = time.Now().Add(-time.Minute)
		source := config.TokenSource(never, first)
		second := must(source.Token())
		checkPair(second, true)
		check("another", second.RefreshToken != first.RefreshToken)
		check("kept", must(source.Token()).AccessToken == second.AccessToken)
		opens(oauth2.NewClient(never, source))
	}
}

func byItself() {
	for _, way := range ways()[:5] {
		config := clientcredentials.Config{
			ClientID:     way.ClientID,
			ClientSecret: way.ClientSecret,
			TokenURL:     server.Token,
			Scopes:       way.Scopes,
			AuthStyle:    way.Endpoint.AuthStyle,
		}
		checkPair(must(config.Token(never)), false)
		opens(config.Client(never))
	}
}

func byPassword() {
	for _, config := range ways()[:5] {
		checkPair(must(config.PasswordCredentialsToken(
			never, told.User.Name, told.User.Password,
		)), has("refresh"))
	}
	config := ways()[0]
	_, err := config.PasswordCredentialsToken(never, told.User.Name, random())
	refused("another password", "invalid_grant", err)
}

func main() {
	must(0, json.Unmarshal([]byte(os.Getenv("GRANTKEEP_CLIENTS")), &told))
	status, body := get(told.Issuer + "/.well-known/oauth-authorization-server")
	check("there is metadata", status == http.StatusOK, status)
	must(0, json.Unmarshal([]byte(body), &server))
	check("the issuer is the server's", server.Issuer == told.Issuer, server)
	for _, each := range []struct {
		flow string
		run  func()
	}{
		{"code", byCode},
		{"refresh", byRefresh},
		{"client_credentials", byItself},
		{"password", byPassword},
	} {
		if has(each.flow) {
			each.run()
		}
	}
	fmt.Printf("%d checks passed\n", passed)
}
