"""slow_way.py PORT BYTES - a way to 127.0.0.1:PORT that goes silent after so many bytes of one connection's answer, as
a network does that drops packets. Prints the port it listens on."""
import asyncio
import sys

PORT, ALLOWED = int(sys.argv[1]), int(sys.argv[2])


async def copy(reader, writer, allowed):
    while data := await reader.read(65536):
        if allowed is not None:
            data, allowed = data[:allowed], allowed - len(data[:allowed])
        writer.write(data)
        await writer.drain()
        if allowed == 0:
            await asyncio.Event().wait()
    writer.close()


async def serve(reader, writer):
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", PORT)
    await asyncio.gather(copy(reader, far_writer, None), copy(far_reader, writer, ALLOWED), return_exceptions=True)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
