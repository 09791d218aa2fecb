"""Made-up secrets in the surroundings they are met in, and what must be gone from each text.

Every value is drawn here, and well-known beginnings are put together when this is imported:
nothing in the source looks like a token to a scanner of repositories.
"""

from __future__ import annotations

import base64
import hashlib
import string

__all__ = ["SECRETS", "TOKENS"]

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
WORD = ALNUM + "_-"


def drawn(length: int, alphabet: str, seed: str) -> str:
    """Return characters that look drawn by chance, and are the same in every run."""
    found = ""
    turn = 0
    while len(found) < length:
        block = hashlib.sha256(f"{seed}/{turn}".encode()).digest()
        found += "".join(alphabet[byte % len(alphabet)] for byte in block)
        turn += 1
    return found[:length]


def of(*parts: str | tuple[int, str]) -> str:
    """Put a token together: texts as they are, and (length, alphabet) as drawn characters."""
    return "".join(
        part if isinstance(part, str) else drawn(*part, seed=f"{parts}{nth}")
        for nth, part in enumerate(parts)
    )


def encoded(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


def pem(kind: str, lines: int = 4) -> list[str]:
    """Return the lines of a private key."""
    title = kind + "PRIVATE" + " KEY"
    body = [drawn(64, ALNUM + "+/", f"{kind}{nth}") for nth in range(lines)]
    return [f"-----BEGIN {title}-----", *body, f"-----END {title}-----"]


JWT = ".".join(
    [
        encoded('{"alg":"RS256","typ":"JWT"}'),
        encoded('{"sub":"1234567890","name":"Ines","iat":1516239022}'),
        drawn(43, WORD, "jwt"),
    ]
)
AWS_ID = of("AK", "IA", (16, string.ascii_uppercase + "234567"))
AWS_SECRET = of((40, ALNUM + "/+"))

TOKENS = {
    "github": of("gh", "p_", (36, ALNUM)),
    "github oauth": of("gh", "o_", (36, ALNUM)),
    "github user": of("gh", "u_", (36, ALNUM)),
    "github server": of("gh", "s_", (36, ALNUM)),
    "github refresh": of("gh", "r_", (36, ALNUM)),
    "github fine": of("github", "_pat_", (22, ALNUM), "_", (59, ALNUM)),
    "gitlab": of("gl", "pat-", (20, WORD)),
    "gitlab runner": of("gl", "rt-", (20, WORD)),
    "slack bot": of("xo", "xb-", (12, "0123456789"), "-", (12, "0123456789"), "-", (24, ALNUM)),
    "slack user": of("xo", "xp-", (11, "0123456789"), "-", (12, "0123456789"), "-", (32, HEX)),
    "slack app": of("xa", "pp-1-A", (10, "0123456789"), "-", (13, "0123456789"), "-", (64, HEX)),
    "stripe": of("sk", "_live_", (24, ALNUM)),
    "stripe restricted": of("rk", "_live_", (99, ALNUM)),
    "stripe test": of("sk", "_test_", (24, ALNUM)),
    "stripe webhook": of("wh", "sec_", (32, ALNUM)),
    "openai": of("sk", "-", (48, ALNUM)),
    "openai project": of("sk", "-proj-", (74, WORD), "T3", "BlbkFJ", (74, WORD)),
    "anthropic": of("sk", "-ant-api03-", (93, WORD), "AA"),
    "npm": of("np", "m_", (36, ALNUM)),
    "pypi": of("py", "pi-AgEIcHlwaS5vcmc", (80, WORD)),
    "sendgrid": of("S", "G.", (22, WORD), ".", (43, WORD)),
    "twilio": of("S", "K", (32, HEX)),
    "mailchimp": of((32, HEX), "-u", "s14"),
    "mailgun": of("ke", "y-", (32, HEX)),
    "google": of("AI", "za", (35, WORD)),
    "google oauth": of("ya", "29.a0Af", (120, WORD)),
    "google client": of("GOC", "SPX-", (28, WORD)),
    "hugging face": of("h", "f_", (34, string.ascii_letters)),
    "digital ocean": of("do", "p_v1_", (64, HEX)),
    "shopify": of("sh", "pat_", (32, HEX)),
    "square": of("sq", "0atp-", (22, WORD)),
    "square access": of("EA", "AA", (60, WORD)),
    "telegram": of("7", (9, "0123456789"), ":A", "A", (33, WORD)),
    "discord": of("M", (25, ALNUM), ".", (6, ALNUM), ".", (38, ALNUM)),
    "vault": of("hv", "s.", (95, ALNUM)),
    "databricks": of("da", "pi", (32, HEX)),
    "grafana": of("gl", "sa_", (32, ALNUM), "_", (8, HEX)),
    "linear": of("li", "n_api_", (40, ALNUM)),
    "docker": of("dc", "kr_pat_", (27, WORD)),
    "azure client": of((3, ALNUM), "8", "Q~", (34, ALNUM)),
    "atlassian": of("AT", "ATT3x", (180, WORD)),
    "age": of("AGE-SECRET", "-KEY-1", (58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
    "jwt": JWT,
    "aws id": AWS_ID,
}

AROUND = [
    "401 Client Error: Unauthorized for url: https://api.example.com/v2/me?tok={}",
    "httpx.HTTPStatusError: request with {} was refused",
    '{{"error": "unknown value {}", "status": 401}}',
    "2026-05-05T12:00:00Z ERROR worker-3 upstream said: bad credential ({})",
    "ValueError: '{}' has expired\n  File \"/srv/app/main.py\", line 7, in send",
    "< HTTP/1.1 403 Forbidden\n< x-echo: {}\n< content-length: 0",
    "remote: HTTP Basic: Access denied for {}, see the documentation.",
    "['{}', 'orders', 7]",
    "could not clone https://example.com/{}/repo.git",
    "env: TOKEN_OF_CI={} HOME=/root",
]

Secret = tuple[str, list[str]]


def tokens() -> list[Secret]:
    return [
        (AROUND[(nth + turn * 3) % len(AROUND)].format(token), [token])
        for nth, token in enumerate(TOKENS.values())
        for turn in range(2)
    ]


P = of((14, ALNUM))
"""A password that only its surroundings tell."""
ODD = "p@ss/w:0rd#1"
PHRASE = "correct horse battery"
BASIC = base64.b64encode(f"ines:{P}".encode()).decode()
LONG = of((43, WORD))

HEADERS: list[Secret] = [
    (f"Authorization: Bearer {LONG}", [LONG]),
    (f"> Authorization: Bearer {LONG}\n> Accept: */*", [LONG]),
    (f"> authorization: Basic {BASIC}\n>", [BASIC]),
    (f"curl -H 'Authorization: Bearer {LONG}' https://api.example.com", [LONG]),
    (f'curl -H "Authorization: token {P}" https://api.example.com', [P]),
    (f"{{'Authorization': 'Bearer {LONG}', 'Accept': '*/*'}}", [LONG]),
    (f'{{"headers":{{"authorization":"Basic {BASIC}"}}}}', [BASIC]),
    (f"Headers([(b'Authorization', b'Bearer {LONG}'), (b'host', b'x')])", [LONG]),
    (f"[('authorization', 'Basic {BASIC}'), ('accept', '*/*')]", [BASIC]),
    (
        f'Authorization: Digest username="ines", realm="x", nonce="{P}", response="{LONG}"',
        [P, LONG],
    ),
    (f"Authorization: Negotiate YII{LONG}==", [LONG]),
    (f"WWW: Negotiate YII{LONG}== was refused", [LONG]),
    (f"Authorization: NTLM TlRMTVNTUAAB{LONG}", [LONG]),
    (
        (
            f"Authorization: AWS4-HMAC-SHA256 Credential={AWS_ID}/20260505/eu-west-1/s3/aws4, "
            f"SignedHeaders=host;x-amz-date, Signature={of((64, HEX))}"
        ),
        [AWS_ID, of((64, HEX))],
    ),
    (f"Authorization: AWS {AWS_ID}:{of((28, ALNUM))}", [AWS_ID, of((28, ALNUM))]),
    (f"Authorization: SharedKey account:{LONG}=", [LONG]),
    (f"Authorization: ApiKey {P}", [P]),
    (f"Authorization: {LONG}", [LONG]),
    (f"Authorization: Custom {P} {LONG}", [P, LONG]),
    (f"Authorization: Token token={P}, by=ines", [P]),
    (f'Authorization: Token token="{P}"', [P]),
    (f"Authorization: GenieKey {P}-abc", [P]),
    (f'Authorization: OAuth oauth_consumer_key="{P}", oauth_signature="{LONG}"', [P, LONG]),
    (f'Authorization: Hawk id="x", mac="{LONG}"', [LONG]),
    (f"Proxy-Authorization: Basic {BASIC}", [BASIC]),
    (f"proxy-authorization: Bearer {P}, then 407", [P]),
    (f"Cookie: sessionid={P}; csrftoken={LONG}", [P, LONG]),
    (f"> Cookie: a={P}\n> Host: example.com", [P]),
    (f"Set-Cookie: sid={P}; Path=/; HttpOnly", [P]),
    (f"< set-cookie: __Host-id={LONG}; Secure\n< x: y", [LONG]),
    (f"{{'Cookie': 'JSESSIONID={P}'}}", [P]),
    (f"headers={{'set-cookie': 'a={P}; Max-Age=3'}}", [P]),
    (f"cookies={{'session': '{LONG}'}}", [LONG]),
    (f"HTTP_COOKIE=a={P}", [P]),
    (f"HTTP_AUTHORIZATION=Bearer {P}", [P]),
    (f"X-Api-Key: {P}", [P]),
    (f"> x-api-key: {P}\n> accept: */*", [P]),
    (f"{{'X-Api-Key': '{P}'}}", [P]),
    (f"X-Auth-Token: {LONG}", [LONG]),
    (f"X-Amz-Security-Token: {LONG}", [LONG]),
    (f"Private-Token: {P}", [P]),
    (f"PRIVATE-TOKEN: {P}", [P]),
    (f"X-Vault-Token: {P}", [P]),
    (f"Ocp-Apim-Subscription-Key: {of((32, HEX))}", [of((32, HEX))]),
    (f"x-functions-key: {LONG}", [LONG]),
    (f"X-CSRF-Token: {LONG}", [LONG]),
    (f"X-Shopify-Access-Token: {P}", [P]),
    (f"X-Goog-Api-Key: {P}", [P]),
    (f"X-Hub-Signature-256: sha256={of((63, HEX))}", [of((63, HEX))]),
    (f"upstream refused Bearer {LONG}", [LONG]),
    (f"sent bearer {P} to the gateway", [P]),
    (f"login with Basic {BASIC} failed", [BASIC]),
    (f"request.headers: Authorization=Bearer%20{LONG}", [LONG]),
    (f"raw: b'GET / HTTP/1.1\\r\\nAuthorization: Bearer {LONG}\\r\\nHost: x\\r\\n'", [LONG]),
    (f'"{{\\"Authorization\\": \\"Bearer {LONG}\\"}}"', [LONG]),
]

URLS: list[Secret] = [
    (f"smtp://mailer:{P}@mx.example:25 refused", [P]),
    (f"postgresql://app:{P}@db.internal:5432/orders", [P]),
    (f"postgres://app:{ODD}@db.internal:5432/orders", ["p@ss", "w:0rd"]),
    (f"could not connect to redis://:{P}@cache:6379/0", [P]),
    (f"amqp://guest:{P}@mq//vhost", [P]),
    (f"mongodb+srv://u:{P}@cluster0.abc.mongodb.net/?retryWrites=true", [P]),
    (f"fatal: unable to access 'https://oauth2:{P}@git.example.com/x.git/'", [P]),
    (f"https://{P}@git.example.com/x.git", [P]),
    (f"https://{P}:x-oauth-basic@git.example.com/x.git", [P]),
    (f"https://{P}:@api.example.com/v1/charges", [P]),
    (f"https://{of((32, HEX))}@o1.ingest.example.io/7", [of((32, HEX))]),
    (f"http://ines:{P}@localhost:8080/a?b=c", [P]),
    (f"http://ines:{P}@10.0.0.1/", [P]),
    (f"ftp://u:{P}@files.example.com/x", [P]),
    (f"ldap://cn=admin:{P}@ldap.example.com", [P]),
    (f"proxy=http://u:{P}@proxy:3128, https://u:{LONG}@proxy:3128", [P, LONG]),
    (f"https://example.com/login?next=https://u:{P}@h.example.com/", [P]),
    (f"mysql+pymysql://root:{P}@db/x?charset=utf8", [P]),
    (f"https://u:{P[:5]}%40{P[5:]}@h.example.com", [P[:5], P[5:]]),
    (f"redis://u:{P[:6]}/{P[6:]}@cache:6379", [P[:6], P[6:]]),
    (f"redis://u:{P[:6]}@{P[6:]}@cache:6379", [P[:6], P[6:]]),
    (f"redis://u:{P[:6]}?{P[6:]}@cache:6379", [P[:6], P[6:]]),
    (f"redis://u:{P[:6]}#{P[6:]}@cache:6379", [P[:6], P[6:]]),
    (f"connecting to <rediss://default:{P}@r.example.com:6380>", [P]),
    (f'{{"url": "https://bot:{P}@hooks.example.com/x"}}', [P]),
    (f"jdbc:postgresql://db/orders?user=app&password={P}", [P]),
    (f"jdbc:oracle:thin:scott/{P}@db:1521:orcl", [P]),
    (f"jdbc:sqlserver://db;databaseName=x;user=sa;password={P};", [P]),
    (f"app:{P}@tcp(10.0.0.7:3306)/orders?parseTime=true", [P]),
    (f"GET /x?access_token={P}&page=2 401", [P]),
    (f"GET /x?page=2&api_key={P} HTTP/1.1", [P]),
    (f"https://maps.example.com/api?address=x&key={of((39, WORD))}", [of((39, WORD))]),
    (f"https://x.example.com/cb?code={LONG}&state=1", [LONG]),
    (f"https://x.example.com/cb?id_token={LONG}", [LONG]),
    (f"/api?token={P}", [P]),
    (f"/api?client_id=7&client_secret={P}&x=1", [P]),
    (
        (
            f"https://b.s3.example.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AWS_ID}"
            f"%2F2026&X-Amz-Signature={of((62, HEX))}&X-Amz-Security-Token={LONG}"
        ),
        [AWS_ID, of((62, HEX)), LONG],
    ),
    (
        f"https://a.blob.example.net/c/f?sv=2022-11-02&sp=r&sig={of((40, ALNUM))}%3D",
        [of((40, ALNUM))],
    ),
    (
        f"https://s.example.com/x?X-Goog-Credential=a%40b.iam&X-Goog-Signature={of((128, HEX))}",
        [of((128, HEX))],
    ),
    (f"https://d1.example.net/p?Expires=1&Signature={LONG}~&Key-Pair-Id=x", [LONG]),
    (f"https://hooks.slack.com/services/T00AB/B00CD/{of((24, ALNUM))}", [of((24, ALNUM))]),
    (
        f"404 https://discord.com/api/webhooks/1234567890/{of((68, WORD))}: Unknown Webhook",
        [of((68, WORD))],
    ),
    (
        f"https://acme.webhook.office.com/webhookb2/{of((36, HEX))}@x/IncomingWebhook/y",
        [of((36, HEX))],
    ),
    (f"POST https://api.telegram.org/bot{TOKENS['telegram']}/sendMessage", [TOKENS["telegram"]]),
    (f"https://hooks.zapier.com/hooks/catch/123/{of((7, ALNUM))}/", [of((7, ALNUM))]),
    (f"url=https%3A%2F%2Fx%2F%3Fpassword%3D{P}", [P]),
    (f"?user[password]={P}&x=1", [P]),
    (f"?user%5Bpassword%5D={P}&x=1", [P]),
    (f"?a=1&amp;token={P}&amp;b=2", [P]),
]

NAMED: list[Secret] = [
    (f"password={P}", [P]),
    (f"login failed, password={P} for ines", [P]),
    (f"password = {P}", [P]),
    (f"Password: {P}", [P]),
    (f"password: {PHRASE}\nuser: ines", ["correct", "horse", "battery"]),
    (f"  db_password: {PHRASE}", ["correct", "horse", "battery"]),
    (f"- secret: {P}", [P]),
    (f"password:'{PHRASE}'", ["correct", "horse", "battery"]),
    (f'password="{PHRASE}"', ["correct", "horse", "battery"]),
    (f"password: “{PHRASE}”, user: ines", ["correct", "horse", "battery"]),
    (f"password: «{PHRASE}»", ["correct", "horse", "battery"]),
    (f"“password”: “{P}”", [P]),
    (f"password：{P}", [P]),
    (f"password=`{PHRASE}`", ["correct", "horse", "battery"]),
    (f"password => '{P}'", [P]),
    (f'password := "{P}"', [P]),
    (f'{{"password": "{P}"}}', [P]),
    (f'{{"password":"{P}","user":"ines"}}', [P]),
    (f'{{"password": "a\\"{P}"}}', [P]),
    (f"{{'password': \"it's {P}\"}}", [P]),
    (f"{{'password': 'it\\'s {P}'}}", [P]),
    (f'body: "{{\\"password\\": \\"hun {P}\\", \\"a\\": 1}}"', [P, "hun"]),
    (f'"{{\\\\\\"token\\\\\\": \\\\\\"{P}\\\\\\"}}"', [P]),
    (f'{{\\"password\\": \\"a\\\\\\"{P}\\"}}', [P]),
    (f"{{'client_secret': '{P}', 'id': 7}}", [P]),
    (f"{{b'password': b'{P}'}}", [P]),
    (f'{{"clientSecret": "{P}"}}', [P]),
    (f'{{"accessToken": "{P}", "tokenType": "bearer"}}', [P]),
    (f'{{"refreshToken":"{P}"}}', [P]),
    (f'{{"token":"{P}"}}', [P]),
    (f'{{"auth": {{"userPassword": "{P}"}}}}', [P]),
    (f"Settings(user='ines', password='{P}', port=5432)", [P]),
    (f"Config(secret_key={P}, debug=True)", [P]),
    (f"Secret(api_key={P})", [P]),
    (f"connect(host='db', password='{P}') got an unexpected keyword", [P]),
    (f"DB_PASSWORD={P}", [P]),
    (f"export PGPASSWORD={P}", [P]),
    (f"environ({{'SMTP_PASS': '{P}', 'HOME': '/root'}})", [P]),
    (f"SECRET_KEY={P}\nDEBUG=1", [P]),
    (f"SECRET_KEY_BASE={P}", [P]),
    (f"APP_KEY=base64:{LONG}=", [LONG]),
    (f"MYSQL_ROOT_PASSWORD='{PHRASE}'", ["correct", "horse", "battery"]),
    (f"AWS_SECRET_ACCESS_KEY={AWS_SECRET}", [AWS_SECRET]),
    (f"aws_secret_access_key = {AWS_SECRET}\nregion = eu-west-1", [AWS_SECRET]),
    (f"aws_session_token={LONG}", [LONG]),
    (f"id,secret\n{AWS_ID},{AWS_SECRET}", [AWS_ID, AWS_SECRET]),
    (f"{AWS_ID} {AWS_SECRET} rejected", [AWS_ID, AWS_SECRET]),
    (f"InvalidAccessKeyId: {AWS_ID} does not exist", [AWS_ID]),
    (f"<AWSAccessKeyId>{AWS_ID}</AWSAccessKeyId>", [AWS_ID]),
    (f"<SignatureProvided>{LONG}</SignatureProvided><Password>{P}</Password>", [P]),
    (
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={of((86, ALNUM))}==;Suffix=y",
        [of((86, ALNUM))],
    ),
    (
        f"Endpoint=sb://x.example.net/;SharedAccessKeyName=Root;SharedAccessKey={of((43, ALNUM))}=",
        [of((43, ALNUM))],
    ),
    (
        f"BlobEndpoint=https://x/;SharedAccessSignature=sv=2022&sig={of((44, ALNUM))}",
        [of((44, ALNUM))],
    ),
    (f"SharedAccessSignature sr=x&sig={of((46, ALNUM))}&se=1&skn=Root", [of((46, ALNUM))]),
    (f"host=db password={P} user=x", [P]),
    (f"host=db password='{PHRASE}' user=x", ["correct", "horse", "battery"]),
    (f"host=db password='it\\'s {P}' user=x", [P]),
    (f"Server=db;Database=x;User Id=sa;Password={P};", [P]),
    (f"Server=db;Uid=sa;Pwd={PHRASE};Timeout=3", ["correct", "horse", "battery"]),
    (f"Data Source=db; User ID=sa; Password = {P}; Encrypt=yes", [P]),
    (f"DRIVER={{PostgreSQL}};UID=x;PWD={P}", [P]),
    (f"mysqldump -h db -u root -p'{P}' orders", [P]),
    (f"mysql -uroot -p{P} -e 'select 1'", [P]),
    (f"mysql --user=root --password={P}", [P]),
    (f"Command 'mysqladmin --password {P} ping' returned 1", [P]),
    (f"sshpass -p {P} ssh root@host", [P]),
    (f"redis-cli -h cache -a {P} ping", [P]),
    (f"docker login -u ines -p {P} registry.example.com", [P]),
    (f"curl -u ines:{P} https://api.example.com", [P]),
    (f"curl --user 'ines:{P}' https://api.example.com", [P]),
    (f"deploy --token {P} --force", [P]),
    (f"deploy --api-key={P} --force", [P]),
    (f"deploy --client-secret '{PHRASE}' --force", ["correct", "horse", "battery"]),
    (f"['deploy', '--password', '{P}'] returned 2", [P]),
    (f"['psql', '--password={P}']", [P]),
    (f"ALTER USER app WITH PASSWORD '{P}'", [P]),
    (f"CREATE USER 'x'@'%' IDENTIFIED BY '{P}'", [P]),
    (f"machine git.example.com login ines password {P}", [P]),
    (f"grant_type=password&username=ines&password={P}&scope=all", [P]),
    (f"username=ines&passwd={P}", [P]),
    (f'<input type="password" name="password" value="{P}">', [P]),
    (f'<add key="DbPassword" value="{P}" />', [P]),
    (f"<password>{P}</password>", [P]),
    (f"<wsse:Password>{P}</wsse:Password>", [P]),
    (f'form-data; name="password"\r\n\r\n{P}\r\n--x', [P]),
    (f"API key: {P}", [P]),
    (f"api key = {P}", [P]),
    (f"invalid token: {P}", [P]),
    (f"token={P} is not valid", [P]),
    (f"credentials: {LONG}", [LONG]),
    (f"_authToken={P}", [P]),
    (f"//registry.example.com/:_authToken={LONG}", [LONG]),
    (f"secret: |\n  {P}\nname: x", [P]),
    (f"password: >-\n    {P}", [P]),
    (f'"passwords": ["{P}", "{LONG}"]', [P, LONG]),
    (f"requests.get(url, auth=('ines', '{P}'))", [P]),
    (f"session={LONG}", [LONG]),
    (f"PHPSESSID={of((26, HEX))}; x=1", [of((26, HEX))]),
    (f"jwt={LONG}", [LONG]),
    (f"private_key={LONG}", [LONG]),
    (f"encryption-key: {LONG}", [LONG]),
    (f"webhook_secret={P}", [P]),
    (f"signature: {of((64, HEX))}x", [of((64, HEX))]),
    (f"passphrase: {PHRASE}", ["correct", "horse", "battery"]),
    (f"new_password={P}&password_confirmation={P}", [P]),
    (f"password2={P}", [P]),
    (f"password=a,b&c;{P}", [P]),
    (f"password=({P})", [P]),
    (f"password=pässwörd{P}", [P, "wörd"]),
    (f"пароль password=пар{P}", [P]),
    (f'DETAIL: Failing row contains (7, ines, token="{P}").', [P]),
    (f'connection to server failed: FATAL: bad option "password={P}"', [P]),
    (
        f"botocore: Credentials(access_key={AWS_ID}, secret_key={AWS_SECRET}, token=None)",
        [AWS_SECRET],
    ),
    (f"psycopg.OperationalError: host=db user=app password={P} dbname=x", [P]),
    (f"level=error msg=login user=ines password={P} took=3ms", [P]),
    (f'level=error msg="login failed" secret="{PHRASE}"', ["correct", "horse", "battery"]),
    (f"msg=failed\ttoken={P}\tuser=ines", [P]),
    (f"PASSWORD\t=\t{P}", [P]),
    (f"{{password: {P}, user: ines}}", [P]),
    (f'{{:password=>"{P}"}}', [P]),
    (f"$password = '{P}';", [P]),
    (f"$config['password'] = '{P}';", [P]),
    (f'config["api_key"] = "{P}"', [P]),
    (f"spring.datasource.password={P}", [P]),
    (f"--set auth.password={P}", [P]),
    (f"-Djavax.net.ssl.keyStorePassword={P}", [P]),
    (f"[password:{P}]", [P]),
    (f"code_verifier={LONG}", [LONG]),
    (f"assertion={JWT}", [JWT]),
    (f"SAMLResponse={LONG}", [LONG]),
]

RSA, EC, OPENSSH, PLAIN = pem("RSA "), pem("EC "), pem("OPENSSH "), pem("")
PGP = [line.replace("KEY-----", "KEY BLOCK-----") for line in pem("PGP ")]
KEYS: list[Secret] = [
    ("could not load key:\n" + "\n".join(PLAIN), PLAIN[1:-1]),
    ("\n".join(RSA) + "\ntrailing words", RSA[1:-1]),
    ('{"private_key": "' + "\\n".join(PLAIN) + '\\n", "client_email": "x@y.iam"}', PLAIN[1:-1]),
    ('"{\\"private_key\\": \\"' + "\\\\n".join(PLAIN) + '\\"}"', PLAIN[1:-1]),
    ("key was " + "\\n".join(EC), EC[1:-1]),
    ("cut off: " + "\n".join(OPENSSH[:-2]), OPENSSH[1:-2]),
    ("cut off: " + "\\n".join(PLAIN[:2])[:-3], [PLAIN[1][:-3]]),
    ("\n".join(PGP), PGP[1:-1]),
    ("key: |\n  " + "\n  ".join(EC), EC[1:-1]),
    ("b'" + "\\r\\n".join(RSA) + "'", RSA[1:-1]),
    (" ".join(PLAIN), PLAIN[1:-1]),
    ("\n".join(["x", RSA[0], "Proc-Type: 4,ENCRYPTED", "", *RSA[1:]]), RSA[1:-1]),
]

SECRETS: list[Secret] = [*tokens(), *HEADERS, *URLS, *NAMED, *KEYS]
