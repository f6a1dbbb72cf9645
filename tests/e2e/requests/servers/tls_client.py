"""tls_client.py PORT N - once there is a line on standard input, asks for /asked N times on each
of four connections inside TLS, by asyncio; says how many answers there were."""
import asyncio
import ssl
import sys

port, n = int(sys.argv[1]), int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


async def ask():
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    answers = 0
    for _ in range(n):
        writer.write(b"GET /asked HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        await reader.readexactly(length)
        answers += 1
    writer.close()
    return answers


async def main():
    return sum(await asyncio.gather(*(ask() for _ in range(4))))


sys.stdin.readline()
print(asyncio.run(main()))
