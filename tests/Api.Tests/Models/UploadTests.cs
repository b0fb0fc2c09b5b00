using System.Formats.Tar;
using System.IO.Compression;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gradus.Training.Tasks;
using Xunit;

namespace Gradus.Api.Tests.Models;

/// <summary>A tar or a GGUF becomes a model; a hostile, torn or oversized one is a clear 4xx, and nothing of it is left.</summary>
public sealed class UploadTests(ApiHost host) : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-upload-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("", TarEntryFormat.Pax)]
    [InlineData("./", TarEntryFormat.Ustar)]
    [InlineData("tiny-of-mine/", TarEntryFormat.Gnu)]
    public async Task ATarBecomesAModelWhateverItsFormAndItsFolder(string prefix, TarEntryFormat format)
    {
        var tar = Tar(format, prefix);
        using var response = await SendAsync(tar, $"?name=uploaded&sha256={Hash(tar).ToUpperInvariant()}");
        var made = await response.OkAsync();
        Assert.Equal(("uploaded", "import", "llama"), (made.Text("name"), made.Text("origin"), made.Text("family")));
        var source = made.GetProperty("details").GetProperty("source");
        Assert.Equal(("upload", Hash(tar), 4, 2), (source.Text("kind"), source.Text("sha256"), source.GetProperty("files").GetInt32(), source.GetProperty("skipped").GetInt32()));
        var kept = Path.Combine(host.Service.StateFolder, "models", made.Text("id"));
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"], Directory.GetFileSystemEntries(kept).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(await System.IO.File.ReadAllBytesAsync(Path.Combine(folder, "tiny", "model.safetensors"), Requests.Cancel), await System.IO.File.ReadAllBytesAsync(Path.Combine(kept, "model.safetensors"), Requests.Cancel));
    }

    [Fact]
    public async Task AFormTakesTheNameOfItsFieldOrOfItsFile()
    {
        var tar = Tar(TarEntryFormat.Pax, "");
        using var form = new MultipartFormDataContent { { new StringContent(Hash(tar)), "sha256" }, { new ByteArrayContent(tar), "file", "mine.tar" } };
        using var response = await host.Client.PostAsync("/v1/models", form, Requests.Cancel);
        Assert.Equal("mine.tar", (await response.OkAsync()).Text("name"));
    }

    public static TheoryData<string, int, string> Hostile => new()
    {
        { "empty", 400, "missing" },
        { "text", 400, "invalid_archive" },
        { "gzip", 400, "compressed" },
        { "gzip-bomb", 400, "compressed" },
        { "zip", 400, "compressed" },
        { "zstd", 400, "compressed" },
        { "up", 400, "invalid_archive" },
        { "up-inside", 400, "invalid_archive" },
        { "absolute", 400, "invalid_archive" },
        { "backslash", 400, "invalid_archive" },
        { "line-break", 400, "invalid_archive" },
        { "symlink", 400, "invalid_archive" },
        { "hardlink", 400, "invalid_archive" },
        { "device", 400, "invalid_archive" },
        { "pipe", 400, "invalid_archive" },
        { "sparse-gnu", 400, "invalid_archive" },
        { "sparse-pax", 400, "invalid_archive" },
        { "twice", 400, "invalid_archive" },
        { "two-models", 400, "invalid_archive" },
        { "many-entries", 400, "invalid_archive" },
        { "huge-extension", 400, "invalid_archive" },
        { "negative-size", 400, "invalid_archive" },
        { "size-beyond", 400, "truncated" },
        { "pax-size-overflow", 400, "invalid_archive" },
        { "wrong-checksum", 400, "invalid_archive" },
        { "cut-in-file", 400, "truncated" },
        { "cut-between", 400, "truncated" },
        { "pickle", 400, "pickle_refused" },
        { "nothing-known", 400, "missing" },
        { "torn-gguf", 422, "" },
        { "lying-gguf", 422, "" },
        { "garbage-weights", 422, "" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public async Task AHostileUploadIsRefusedAndLeavesNothing(string what, int status, string code)
    {
        using var response = await SendAsync(Bytes(what));
        var error = await response.ErrorAsync(status);
        if (code.Length > 0) Assert.Equal(code, error.Text("code"));
        Nothing();
    }

    [Fact]
    public async Task AWrongHashIsRefused()
    {
        var tar = Tar(TarEntryFormat.Pax, "");
        using (var response = await SendAsync(tar, "?sha256=" + new string('0', 64))) Assert.Equal("hash_mismatch", (await response.ErrorAsync(400)).Text("code"));
        using (var response = await SendAsync(tar, "?sha256=12")) Assert.Equal("sha256", (await response.ErrorAsync(400)).Text("param"));
        Nothing();
    }

    [Fact]
    public async Task AnUploadBeyondTheLimitEndsThere()
    {
        await using var service = await host.StartAsync("--Gradus:MaxModelBytes=2000000");
        using var content = Content(Tar(TarEntryFormat.Pax, ""));
        using (var response = await service.Client.PostAsync("/v1/models", content, Requests.Cancel)) Assert.Equal("too_large", (await response.ErrorAsync(413)).Text("code"));
        // A length that could never fit is refused before a byte is read.
        using var socket = await HeadAsync(service.Address, 1L << 40);
        Assert.StartsWith("HTTP/1.1 413", await AnswerAsync(socket));
        Nothing();
    }

    [Fact]
    public async Task AClientThatGoesAwayLeavesNothing()
    {
        var tar = Tar(TarEntryFormat.Pax, "");
        using (var socket = await HeadAsync(host.Service.Address, tar.Length))
        {
            await socket.SendAsync(tar.AsMemory(0, tar.Length / 2), Requests.Cancel);
            while (!Directory.EnumerateFiles(Models, "*.import").Any()) await Task.Delay(10, Requests.Cancel);
            socket.LingerState = new LingerOption(true, 0);
        }
        while (Directory.EnumerateFiles(Models, "*.import").Any()) await Task.Delay(10, Requests.Cancel);
        Nothing();
        // And it may simply start again.
        using var response = await SendAsync(tar);
        await response.OkAsync();
    }

    [Fact]
    public async Task ABrokenFormIsRefused()
    {
        var whole = Tar(TarEntryFormat.Pax, "");
        byte[] body = [.. Encoding.ASCII.GetBytes("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"), .. whole[..100_000]];
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=b");
        using var response = await host.Client.PostAsync("/v1/models", content, Requests.Cancel);
        Assert.Equal("truncated", (await response.ErrorAsync(400)).Text("code"));
        Nothing();
    }

    private string Models => Path.Combine(host.Service.StateFolder, "models");

    private void Nothing() => Assert.All(Directory.GetFileSystemEntries(Models), path => Assert.Equal(1L, host.Database.Sql("select count(*) from models where folder = $1", path).GetAwaiter().GetResult()));

    private Task<HttpResponseMessage> SendAsync(byte[] bytes, string query = "") => host.Client.PostAsync("/v1/models" + query, Content(bytes), Requests.Cancel);

    private static ByteArrayContent Content(byte[] bytes) => new(bytes) { Headers = { ContentType = new MediaTypeHeaderValue("application/x-tar") } };

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static async Task<Socket> HeadAsync(string address, long length)
    {
        var uri = new Uri(address);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(uri.Host, uri.Port, Requests.Cancel);
        await socket.SendAsync(Encoding.ASCII.GetBytes($"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n"), Requests.Cancel);
        return socket;
    }

    private static async Task<string> AnswerAsync(Socket socket)
    {
        var buffer = new byte[4096];
        return Encoding.ASCII.GetString(buffer, 0, await socket.ReceiveAsync(buffer, Requests.Cancel));
    }

    /// <summary>The built-in model with random weights, two files that no model has, and a folder's entry.</summary>
    private byte[] Tar(TarEntryFormat format, string prefix)
    {
        var tiny = Path.Combine(folder, "tiny");
        TinyModel.Write(tiny);
        return Written(format, tar =>
        {
            if (prefix.Length > 0) tar.WriteEntry(Entry(format, TarEntryType.Directory, prefix));
            foreach (var name in new[] { "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json" }) tar.WriteEntry(Path.Combine(tiny, name), prefix + name);
            tar.WriteEntry(File(format, prefix + "modeling_evil.py", "import os"));
            tar.WriteEntry(File(format, prefix + "onnx/config.json", "{}"));
        });
    }

    private byte[] Bytes(string what)
    {
        switch (what)
        {
            case "empty": return [];
            case "text": return Encoding.ASCII.GetBytes(new string('x', 4000));
            case "gzip": return Gzip(Tar(TarEntryFormat.Pax, ""));
            case "gzip-bomb": return Gzip(new byte[100 << 20]);
            case "zip": return [(byte)'P', (byte)'K', 3, 4, .. new byte[600]];
            case "zstd": return [0x28, 0xB5, 0x2F, 0xFD, .. new byte[600]];
            case "cut-in-file": return Tar(TarEntryFormat.Pax, "")[..1_000_000];
            case "cut-between": return Written(TarEntryFormat.Ustar, tar => tar.WriteEntry(File(TarEntryFormat.Ustar, "config.json", "{}")))[..1024];
            case "torn-gguf": return [.. "GGUF"u8, 3, 0, 0, 0, .. BitConverter.GetBytes(5L), .. BitConverter.GetBytes(3L), 1, 2, 3];
            case "lying-gguf": return [.. "GGUF"u8, 3, 0, 0, 0, .. BitConverter.GetBytes(1L << 60), .. BitConverter.GetBytes(1L << 60)];
        }
        return Written(TarEntryFormat.Gnu, tar =>
        {
            void Add(TarEntryFormat format, string name, string content) => tar.WriteEntry(File(format, name, content));
            void Link(TarEntryType type, string name, string target)
            {
                var entry = Entry(TarEntryFormat.Gnu, type, name);
                entry.LinkName = target;
                tar.WriteEntry(entry);
            }

            Add(TarEntryFormat.Gnu, "config.json", "{}");
            switch (what)
            {
                case "up": Add(TarEntryFormat.Gnu, "../config.json", "{}"); break;
                case "up-inside": Add(TarEntryFormat.Gnu, "a/../../tokenizer.json", "{}"); break;
                case "absolute": Add(TarEntryFormat.Gnu, "/etc/tokenizer.json", "{}"); break;
                case "backslash": Add(TarEntryFormat.Gnu, "..\\tokenizer.json", "{}"); break;
                case "line-break": Add(TarEntryFormat.Gnu, "tokenizer.json\n", "{}"); break;
                case "symlink": Link(TarEntryType.SymbolicLink, "tokenizer.json", "/etc/passwd"); break;
                case "hardlink": Link(TarEntryType.HardLink, "tokenizer.json", "config.json"); break;
                case "device": tar.WriteEntry(Entry(TarEntryFormat.Gnu, TarEntryType.CharacterDevice, "tokenizer.json")); break;
                case "pipe": tar.WriteEntry(Entry(TarEntryFormat.Gnu, TarEntryType.Fifo, "tokenizer.json")); break;
                case "sparse-pax": tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "tokenizer.json", [new("GNU.sparse.major", "1"), new("GNU.sparse.realsize", "1000000000000")])); break;
                case "twice": Add(TarEntryFormat.Gnu, "config.json", "{}"); break;
                case "two-models": Add(TarEntryFormat.Gnu, "b/config.json", "{}"); break;
                case "many-entries": for (var i = 0; i < 10_001; i++) Add(TarEntryFormat.Ustar, $"f{i}", ""); break;
                case "pickle": Add(TarEntryFormat.Gnu, "pytorch_model.bin", "x"); break;
                case "garbage-weights": Add(TarEntryFormat.Gnu, "model.safetensors", new string('z', 5000)); break;
                default: Add(TarEntryFormat.Gnu, "evil.py", "import os"); break;
            }
        }, bytes =>
        {
            switch (what)
            {
                // The second entry's header stands after the first's header and block.
                case "sparse-gnu": Change(bytes, header => header[156] = (byte)'S'); break;
                case "huge-extension": Change(bytes, header => (header[156], _) = ((byte)'x', Put(header, "77777777777"))); break;
                case "negative-size": Change(bytes, header => header.AsSpan(124, 12).Fill(0xFF)); break;
                case "size-beyond": Change(bytes, header => Put(header, "77777777777")); break;
                case "wrong-checksum": bytes[1024 + 150] ^= 1; break;
            }
        }, what == "pax-size-overflow" ? [.. Pax("size=99999999999999999999")] : what == "two-models" ? Written(TarEntryFormat.Gnu, tar => tar.WriteEntry(File(TarEntryFormat.Gnu, "b/config.json", "{}")))[..1024] : []);

        static int Put(byte[] header, string octal) => Encoding.ASCII.GetBytes(octal, header.AsSpan(124, 12));

        static byte[] Pax(string record)
        {
            var text = $"{record.Length + 4} {record}\n";
            return Written(TarEntryFormat.Ustar, tar => tar.WriteEntry(File(TarEntryFormat.Ustar, "x", text)), bytes => Change(bytes, header => header[156] = (byte)'x', 0))[..1024];
        }
    }

    private static void Change(byte[] bytes, Action<byte[]> change, int at = 1024)
    {
        var header = bytes[at..(at + 512)];
        change(header);
        "        "u8.CopyTo(header.AsSpan(148));
        Encoding.ASCII.GetBytes(Convert.ToString(header.Sum(part => part), 8).PadLeft(6, '0') + "\0 ", header.AsSpan(148));
        header.CopyTo(bytes, at);
    }

    private static byte[] Written(TarEntryFormat format, Action<TarWriter> write, Action<byte[]>? change = null, byte[]? before = null)
    {
        using var stream = new MemoryStream();
        stream.Write(before ?? []);
        using (var tar = new TarWriter(stream, format, leaveOpen: true)) write(tar);
        var bytes = stream.ToArray();
        change?.Invoke(bytes);
        return bytes;
    }

    private static TarEntry File(TarEntryFormat format, string name, string content)
    {
        var entry = Entry(format, TarEntryType.RegularFile, name);
        entry.DataStream = new MemoryStream(Encoding.UTF8.GetBytes(content));
        return entry;
    }

    private static TarEntry Entry(TarEntryFormat format, TarEntryType type, string name) => format switch
    {
        TarEntryFormat.Pax => new PaxTarEntry(type, name),
        TarEntryFormat.Ustar => new UstarTarEntry(type, name),
        _ => new GnuTarEntry(type, name),
    };

    private static byte[] Gzip(byte[] bytes)
    {
        using var stream = new MemoryStream();
        using (var gzip = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(bytes);
        return stream.ToArray();
    }
}
