using System.Security.Cryptography;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Models;

/// <summary>An upload as it comes: hashed on the way, with a look at its first bytes before they are read.</summary>
internal sealed class UploadStream(Stream source) : ReadOnlyStream
{
    private static readonly (byte[] Start, string Name)[] compressed =
    [
        ([0x1F, 0x8B], "gzip"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"), ([0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z'], "xz"), ("BZh"u8.ToArray(), "bzip2"), ("PK\x03\x04"u8.ToArray(), "zip"),
        ([(byte)'7', (byte)'z', 0xBC, 0xAF], "7z"),
    ];

    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private byte[] first = [];
    private int given;

    /// <summary>Whether it is a GGUF file; else it should be a tar.</summary>
    /// <exception cref="InvalidInputException">It is empty, or compressed: what a compressed archive becomes is not bounded by what was sent.</exception>
    public async Task<bool> IsGgufAsync(CancellationToken cancel)
    {
        first = new byte[8];
        Array.Resize(ref first, await source.ReadAtLeastAsync(first, first.Length, throwOnEndOfStream: false, cancel));
        if (first.Length == 0) throw new InvalidInputException("The upload is empty; expected is a tar of one model's files, or one .gguf.", "file", "missing");
        foreach (var (start, name) in compressed)
            if (first.AsSpan().StartsWith(start)) throw new InvalidInputException($"The upload is compressed ({name}); send the tar as it is. Weights hardly shrink.", "file", "compressed");
        return first.AsSpan().StartsWith("GGUF"u8);
    }

    /// <summary>Reads what is left and says what came, as lower-case hexadecimal.</summary>
    public async Task<string> HashAsync(CancellationToken cancel)
    {
        var buffer = new byte[1 << 16];
        while (await ReadAsync(buffer, cancel) > 0)
        {
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int read;
        if (given < first.Length)
        {
            read = Math.Min(buffer.Length, first.Length - given);
            first.AsMemory(given, read).CopyTo(buffer);
            given += read;
        }
        else read = await RestAsync(buffer, cancellationToken);
        hash.AppendData(buffer.Span[..read]);
        return read;
    }

    /// <summary>A form that ends too early says so by an IOException; so does a client that went away, whom nobody answers.</summary>
    private async ValueTask<int> RestAsync(Memory<byte> buffer, CancellationToken cancel)
    {
        try
        {
            return await source.ReadAsync(buffer, cancel);
        }
        catch (IOException broken) when (broken is not BadHttpRequestException)
        {
            throw new InvalidInputException($"The upload broke off: {broken.Message} Nothing was kept.", "file", "truncated");
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) hash.Dispose();
        base.Dispose(disposing);
    }
}
