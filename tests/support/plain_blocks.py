"""Texts of several lines without a secret in them."""

from __future__ import annotations

__all__ = ["BLOCKS"]


BLOCKS = """
Traceback (most recent call last):
  File "/srv/app/send.py", line 41, in deliver
    response = client.post(url, json=body, timeout=5)
  File "/srv/app/client.py", line 7, in post
    raise ConnectionError(url)
ConnectionError: https://api.example.com/v1/orders
----
goroutine 1 [running]:
main.main()
\t/srv/main.go:7 +0x1d
exit status 2
----
java.lang.IllegalStateException: closed
\tat com.example.TokenStore.get(TokenStore.java:71)
\tat com.example.Main.main(Main.java:7)
Caused by: java.io.IOException: Stream closed
----
Enter password:
Login failed
----
< HTTP/1.1 401 Unauthorized
< content-type: application/json
< content-length: 12
<
----
* Connected to api.example.com (10.0.0.7) port 443
> GET /v1/me HTTP/1.1
> Host: api.example.com
----
name: orders
replicas: 3
image: app:7
key: customer-7
----
apiVersion: v1
kind: Secret
metadata:
  name: orders-db
----
SELECT o.id
  FROM orders o
 WHERE o.customer = 'customer-7'
   AND o.total > 100
----
+---+-------+
| id | token_count |
+---+-------+
| 7 | 100 |
----
======================================================================
FAIL: test_password_reset
----------------------------------------------------------------------
""".strip("\n").split("\n----\n")
