"""Texts without a secret in them, which masking must leave as they are."""

from __future__ import annotations

from support.plain_blocks import BLOCKS

__all__ = ["PLAIN"]

LINES = r"""
unexpected token: '}'
Unexpected token: <
SyntaxError: Unexpected token: ','
unexpected token: EOF at line 3
SyntaxError: Unexpected token } in JSON at position 71
SyntaxError: invalid syntax near token ';'
json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 5 (char 4)
token_count=100
tokenCount: 100
tokens: 12
tokens=4096
max_tokens=4096
"max_tokens": 4096
"usage": {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
prompt_tokens=12 completion_tokens=7
next_page_token=eyJpZCI6NDJ9
nextPageToken: CAUQAA
"nextToken": "abc"
['authorization', 'cookie']
["cookie", "authorization"]
['authorization', 'cookie', 'x=1']
allowed headers: ['authorization','cookie']; origin: '*'
the pattern 'pattern.compile' and path.fm2_id, vci_count, re_compile(r'a_b'), squ_id = 7
Private-Lines: 14 is the number of lines
<note><![CDATA[nothing to hide]]></note>
nfs_exports_of_the_last_known_good_configuration
"continuation_token": "page-2"
token_type=bearer
"token_type": "Bearer", "expires_in": 3600
"tokenType": "bearer"
token_url=https://login.example.com/oauth/token
token_endpoint: https://login.example.com/token
token_expires_at=2026-05-05T12:00:00Z
tokenExpiresIn=3600
token expired
the token has expired
invalid token: expired
invalid token: signature mismatch
invalid_token: the token is malformed
token: invalid
token: missing
Error: token: not found
Bearer token expired
Bearer token required
bearer authentication is not enabled
WWW-Authenticate: Bearer realm="example", error="invalid_token"
WWW-Authenticate: Basic realm="Restricted"
Bearer realm="https://auth.example.com/token",service="registry"
unsupported scheme Bearer
the bearer of this message
expected "Bearer <token>"
Authorization: Bearer ***
Authorization header missing
Authorization header is required
authorization: required
Authorization: missing
missing Authorization header
authorization failed for ines
Authorization is not configured
not authorized: ask an administrator
Basic auth required
Basic authentication failed
Basic Authentication is disabled
basic usage: run it twice
Basic HTTP error 401
Negotiate authentication is not supported
NTLM authentication failed
ApiKey authentication required
cookie consent missing
cookies are disabled
cookie: missing
no cookie was sent
Cookie policy changed
password is required
the password was refused
password: required
password: must have at least 8 characters
password must not be blank
password: is required
passwords do not match
invalid password for user ines
FATAL:  password authentication failed for user "app"
fe_sendauth: no password supplied
Access denied for user 'app'@'10.0.0.7' (using password: YES)
Access denied for user 'app'@'10.0.0.7' (using password: NO)
password_length=8
password_min_length: 12
password_expires_at=2027-01-01
password_policy=strict
passwordless=true
password_reset=true
password-reset: mail sent to ines@example.com
password=***
password=********
password=None
"password": null
"password": ""
password=''
password=${DB_PASSWORD}
password: {{ vault_password }}
password=<redacted>
password=[redacted]
PASSWORD: redacted
    return connect(host=host, password=password)
    self.password = password
    token = request.headers.get("x")
    password=os.environ["DB_PASSWORD"]
    password = getpass.getpass()
    api_key=settings.API_KEY
    def login(user, password):
INSERT INTO users (name, password) VALUES (%s, %s)
SELECT id, token FROM sessions WHERE id = 7
UPDATE users SET password = ? WHERE id = ?
UPDATE users SET password = %(password)s WHERE id = 7
SELECT count(*) FROM orders WHERE customer = 'customer-7'
null value in column "password" of relation "users" violates not-null constraint
column "token" does not exist
duplicate key value violates unique constraint "orders_pkey"
DETAIL:  Key (id)=(7) already exists.
Key (customer_id)=(customer-7) is not present in table "customers".
primary_key=id
foreign_key: customer_id
partition_key=customer-7
sort_key=2026-05-05
routing_key=orders.created
idempotency_key=order-1234-attempt-2
cache_key=orders:7:page:2
public_key=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
key=customer-7
?key=customer-7
GET /objects?key=orders/2026/05/report-7.csv
KeyError: 'orders'
KeyError: 'password'
KeyError: 'access_token'
keyboard interrupt
monkey=patched
turkey: istanbul
key: customer-7
s3_key=backups/2026-05-05.tar.gz
object key: orders/7.json
code=404
?code=E1234
error code: 503
exit code=137
status_code=401 reason=Unauthorized
country_code=DE
code: ECONNREFUSED
pwd=/home/app
PWD=/srv/app
OLDPWD=/root
pwd: /home/app
pwd=C:\Users\app
secretary=Jane
secretary: Jane Doe
author: Jane
author=Jane
authors: Jane, Ines
authority=example.com
authentication=kerberos
auth: failed
auth=ok
auth_method=password
auth method: publickey,password
authenticator: PasswordAuthenticator
secret_name=orders/db
secretName: orders-db
secret_arn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-AbCdEf
secret not found
secret: not found
secrets manager: permission denied
SecretsManager.Client.exceptions.ResourceNotFoundException: not found
secret "orders-db" not found in namespace "prod"
MountVolume.SetUp failed for volume "token": secret "default-token" not found
credentials are missing
credentials: missing
credentials_path=/etc/app/credentials.json
Unable to locate credentials. You can configure credentials by running "aws configure".
botocore.exceptions.NoCredentialsError: Unable to locate credentials
google.auth.exceptions.DefaultCredentialsError: Could not automatically determine credentials.
api_key_id=7
api key is missing
api-key: missing
api_key_name=orders
No API key provided
access_key_rotation=90
tokenizer=cl100k
tokenization: done
token_bucket=5
csrf token missing or incorrect
CSRF verification failed. Request aborted.
session_id=42
session=7
session: closed
sid=7
session_id=0190d2e4-7c1b-7cc0-8a3e-1f2a3b4c5d6e
signature: foo(a, b)
method signature: def send(order)
The request signature we calculated does not match the signature you provided.
InvalidSignatureException: Signature expired: 20260505T120000Z is now earlier
signature=valid
sig=9
signal=9
sigterm: shutting down
pass: 12, fail: 1
tests pass: 12
bypass=true
compass=north
passed=3 failed=0
pass_count=3
passenger=ines
jwt expired
jwt malformed
JWT: invalid
eyJpZCI6NDJ9
cursor=eyJpZCI6NDIsInRzIjoxNzE0OTEwNDAwfQ
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
digest=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
md5=d41d8cd98f00b204e9800998ecf8427e
etag: "d41d8cd98f00b204e9800998ecf8427e"
commit 5e14193a0b1c2d3e4f5061728394a5b6c7d8e9f0
git revision d171353, branch main
HEAD is now at 6ca4b6c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f607
image: r.example.com/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
0190d2e4-7c1b-7cc0-8a3e-1f2a3b4c5d6e
request_id=0190d2e4-7c1b-7cc0-8a3e-1f2a3b4c5d6e
trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
x-request-id: Zm9vYmFyYmF6cXV4MTIzNDU2
id=Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==
message id: CAJvYUSdKqW6yZ0r=abc@mail.example.com
delivery_id=msg-44 sequence=44
consumer=webhooks stream=orders subject=customer-7
webhooks/orders is at 44 (msg-44); 43 would move it back.
2026-05-05T12:00:00Z
2026-05-05T12:00:00.123456+02:00 ERROR worker-3 failed
at 12:00:05: retry in 3s
12345678901234567890
arn:aws:sns:eu-west-1:123456789012:orders
arn:aws:iam::123456789012:role/app
https://example.com/@user
https://example.com/@user/posts/7
https://medium.example.com/@ines/why-a-ledger-1a2b3c4d5e6f
see https://example.org/@ines/
https://example.com:8080/@user
https://example.com/users?mail=ines@example.com
https://example.com/a:b@c
https://example.com:8443/path?page=2
HTTP 503 from https://mx.example:8080/path?page=2
http://[::1]:8080/health
https://10.0.0.7:9200/_bulk
GET /orders?page=2&limit=50&sort=-created_at
GET /search?q=password+reset
GET /login?next=/orders
https://docs.example.com/errors#token-expired
https://example.com/reset-password
https://example.com/oauth/token
POST https://login.example.com/oauth2/v2.0/token
user@host:22
git@github.com:acme/orders.git
ssh://git@github.com/acme/orders.git
ssh: connect to host db port 22: Connection refused
Permission denied (publickey,password).
sftp://app@files.example.com/in
postgresql://app@db.internal:5432/orders
postgresql://db.internal/orders
redis://cache:6379/0
amqp://mq:5672//
ines@example.com
Ines <ines@example.com>
mailto:ines@example.com
550 5.1.1 <ines@example.com>: Recipient address rejected: User unknown
421 4.7.0 try again later
ConnectionError: 421 try later
npm ERR! code E401
npm_config_registry=https://registry.example.com
pypi-publish failed
sk-learn is deprecated, use scikit-learn
hf_hub_download failed
ghp_ is not a token
xox is no prefix
AKIA is a prefix
key-value store unavailable
mysql: command not found
mysql -u root -p
mysqldump: Got error: 1045
curl: (7) Failed to connect to localhost port 8080: Connection refused
curl -u ines https://api.example.com
docker login failed
docker run -p 8080:80 nginx
mkdir -p /srv/app/data
redis-cli -p 6379 ping
psql: error: connection to server at "db" (10.0.0.7), port 5432 failed
--password is required
usage: deploy [--token TOKEN] [--password PASSWORD]
option --token requires an argument
--password-file /etc/app/password
--token-file=/etc/app/token
error: the following arguments are required: --password
expected -----BEGIN PRIVATE KEY-----
no start line: Expecting: ANY PRIVATE KEY
could not load PEM: -----BEGIN CERTIFICATE----- missing
-----BEGIN PUBLIC KEY-----
ssl.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)
private key mismatch
private_key_id=7
/etc/ssl/private/example.key
File "/srv/app/tokens.py", line 7, in refresh_token
File "/usr/lib/python3.11/secrets.py", line 12, in token_hex
/run/secrets/db_password
/run/secrets/db_password: Permission denied
/var/lib/app/password.txt: Permission denied
C:\Users\ines\secrets.json not found
OSError: [Errno 28] No space left on device: '/var/lib/app/log'
TypeError: connect() got an unexpected keyword argument 'password'
ValueError: invalid literal for int() with base 10: 'token'
AttributeError: 'NoneType' object has no attribute 'token'
AssertionError: assert 3 == 4
ZeroDivisionError: division by zero
TimeoutError: timed out after 30 s
requests.ConnectionError: HTTPSPool(host='api', port=443): Max retries exceeded with url: /v1
httpx.ConnectError: [Errno 111] Connection refused
aiohttp.client_exceptions.ClientResponseError: 401, message='Unauthorized', url='https://api.example.com/v1/me'
psycopg.errors.UniqueViolation: duplicate key value violates unique constraint
django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.
{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
{"error": {"code": 401, "message": "Request had invalid authentication credentials."}}
{"message": "Bad credentials", "documentation_url": "https://docs.example.com/rest"}
{"id": 7, "name": "orders", "status": "failed", "key": "customer-7"}
{"type": "object", "properties": {"password": {"type": "string"}}}
{"a": [1, 2, 3], "b": null, "c": "x=y"}
<error><code>AccessDenied</code><message>Access Denied</message></error>
level=info msg="started" port=8080 workers=4
a=b&c=d
x == y; a => b
1 < 2 and 3 > 2
50% of 12 items (6) failed
"quoted" and 'quoted' and `quoted`
«guillemets» and “curly”
смена пароля не удалась
パスワードが違います
mot de passe incorrect
😀 failed 😀
the sandwich: bread, cheese
["old_password", "new_password1", "new_password2"]
('splitpasswd', 'splitport', 'splitquery')
class Token(Base, frozen=True):
{"password_mismatch": "The two fields did not match."}
"errors": ["password", "email"]
{"required": ["token", "id"], "type": "object"}
default_token_generator=7
JWT: signature verification failed
hmac mismatch
otp is invalid
license expired
""".strip("\n").split("\n")

PLAIN = [*LINES, *BLOCKS]
