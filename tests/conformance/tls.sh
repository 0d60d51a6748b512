#!/usr/bin/env bash
# What two scanners say of the TLS that adit speaks: testssl.sh and sslscan.
#
# Acceptance: 27
. "$(dirname "$0")/lib.sh"
need testssl testssl.sh
need sslscan sslscan

serve 'routes: [{host: www.example.test, respond: {body: "ok"}}]'

say "# sslscan"
sslscan --no-colour --no-heartbleed --sni-name=www.example.test "127.0.0.1:$webs" 2>/dev/null |
  sed -n '/SSL\/TLS Protocols/,/SSL Certificate/p' | grep -v -e 'SSL Certificate' -e '^ *$' |
  sed -E 's/ +$//' >"$work/sslscan"
while IFS= read -r line; do say "$line"; done <"$work/sslscan"
for old in SSLv2 SSLv3 TLSv1.0 TLSv1.1; do
  grep -q "^$old *disabled" "$work/sslscan" || fail "$old is not refused"
done
! grep -E '^(Preferred|Accepted)' "$work/sslscan" | grep -vE 'AES.*GCM|CHACHA20' || fail "a suite without AEAD"
! grep -qE 'Compression enabled|Insecure session renegotiation supported' "$work/sslscan" || fail "compression or renegotiation"

say ""
say "# testssl.sh, everything that is worse than fine"
# Names resolve by the scanner's own option; the authority is ours; nothing is asked of the Internet.
testssl --quiet --color 0 --warnings off --add-ca "$work/ca.pem" --ip 127.0.0.1 --nodns min \
  --protocols --std --fs --server-preference --server-defaults --vulnerable --grease \
  --jsonfile "$work/testssl.json" "www.example.test:$webs" >"$work/testssl.txt" 2>&1 || true
[ -s "$work/testssl.json" ] || fail "testssl.sh found nothing: $(tail -5 "$work/testssl.txt")"
python3 - "$work/testssl.json" <<'PYTHON' >"$work/findings" || fail "testssl.sh: $(cat "$work/findings")"
"""Findings of testssl.sh that are worse than OK, without those of a certificate made for a test."""
import json
import sys

OF_THE_TEST = {
    # A private authority has no lists of revocation, no log and no record in DNS.
    "cert_caIssuers", "cert_revocation", "cert_ocspURL", "cert_crlDistributionPoints",
    "certificate_transparency", "DNS_CAArecord", "OCSP_stapling", "cert_mustStapleExtension",
    "cert_notAfter", "cert_trust", "cert_chain_of_trust", "cert_expirationStatus", "cert_extlifeSpan",
    # What the scanner says of itself and of the machine it runs on
    # (its old OpenSSL cannot resume sessions of TLS 1.3).
    "sessionresumption_ticket", "sessionresumption_ID", "engine_problem", "optimal_proto", "scanProblem", "scanTime",
}
findings = json.load(open(sys.argv[1]))
bad = [f for f in findings if f["severity"] not in ("OK", "INFO", "DEBUG") and f["id"] not in OF_THE_TEST]
for finding in bad:
    print(finding["severity"], finding["id"], finding["finding"])
names = {f["id"] for f in findings}
assert {"SSLv2", "TLS1_2", "TLS1_3", "heartbleed", "ROBOT", "secure_renego"} <= names, "the scan is not whole"
if not bad:
    fine = sum(f["severity"] == "OK" for f in findings)
    print("nothing;", "findings that are fine:", "some" if fine else "none")
sys.exit(bool(bad))
PYTHON
while IFS= read -r line; do say "$line"; done <"$work/findings"

keep tls-scan
