using System.Buffers.Binary;
using System.Text;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Models;

/// <summary>
/// The regular files of a tar that comes as a stream: ustar, with pax and GNU names. Nothing is written and nothing held but one header; links, devices, sparse files, names
/// that leave the folder, sizes that lie and a missing end are refused. (System.Formats.Tar holds an extended header whole, whatever its size.)
/// </summary>
internal sealed class TarEntries(Stream source)
{
    private const int Block = 512, MostEntries = 10_000, LargestExtension = 64 << 10;

    private readonly Stream source = source;
    private readonly byte[] header = new byte[Block];
    private long left; // of the entry's content, its padding included
    private long padding;
    private int entries;

    /// <summary>The content of the entry that <see cref="NextAsync"/> gave last.</summary>
    public Stream Content => new Part(this);

    /// <summary>The next regular file, or null at the end mark. What was not read of the one before is passed over.</summary>
    public async Task<TarEntry?> NextAsync(CancellationToken cancel)
    {
        string? longName = null;
        long? longSize = null;
        while (true)
        {
            await SkipAsync(left + padding, cancel);
            (left, padding) = (0, 0);
            if (await source.ReadAtLeastAsync(header, Block, throwOnEndOfStream: false, cancel) != Block) throw Wrong("it is cut short: its end mark is missing", "truncated");
            if (header.AsSpan().IndexOfAnyExcept((byte)0) < 0) return null;
            CheckSum();
            if (++entries > MostEntries) throw Wrong($"it has more than {MostEntries:N0} entries");
            var type = (char)header[156];
            var size = type is 'x' or 'L' or 'g' ? Number(124, 12) : longSize ?? Number(124, 12);
            (left, padding) = (size, (Block - (size % Block)) % Block);
            switch (type)
            {
                case 'L':
                    longName = Encoding.UTF8.GetString(await ExtensionAsync(cancel)).TrimEnd('\0');
                    break;
                case 'x':
                    (longName, longSize) = Pax(await ExtensionAsync(cancel), longName, longSize);
                    break;
                case 'g':
                    break; // about the whole archive: a commit's id, as git archive writes it
                case '5':
                    _ = Split(longName ?? Name());
                    (longName, longSize) = (null, null);
                    break;
                case '0' or '\0':
                    var (folder, name) = Split(longName ?? Name());
                    if (name.Length > 0) return new TarEntry(folder, name, size);
                    (longName, longSize) = (null, null);
                    break;
                default:
                    throw Wrong($"'{Shown(longName ?? Name())}' is {Kind(type)}; a model's archive holds regular files");
            }
        }
    }

    private static string Kind(char type) => type switch
    {
        '1' => "a hard link",
        '2' or 'K' => "a symbolic link",
        '3' or '4' => "a device",
        '6' => "a pipe",
        'S' => "a sparse file",
        _ => $"an entry of the type '{(char.IsAsciiLetterOrDigit(type) ? type : '?')}'",
    };

    /// <summary>Folders and name of an entry, without "." steps.</summary>
    private static (IReadOnlyList<string> Folders, string Name) Split(string path)
    {
        if (path.Length > 4096 || path.Any(char.IsControl) || path.Contains('\\', StringComparison.Ordinal)) throw Wrong($"it has the name '{Shown(path)}', with characters that no name here has");
        if (path.StartsWith('/')) throw Wrong($"'{Shown(path)}' is an absolute name");
        var steps = path.Split('/');
        if (steps.Contains("..")) throw Wrong($"'{Shown(path)}' leads out of its folder");
        return ([.. steps[..^1].Where(step => step is not ("" or "."))], steps[^1] == "." ? "" : steps[^1]);
    }

    private string Name()
    {
        var name = Text(0, 100);
        var prefix = header.AsSpan(257, 5).SequenceEqual("ustar"u8) && header[262] == 0 ? Text(345, 155) : "";
        return prefix.Length == 0 ? name : $"{prefix}/{name}";
    }

    private string Text(int start, int length)
    {
        var bytes = header.AsSpan(start, length);
        var end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }

    private void CheckSum()
    {
        var sum = 8 * ' ';
        for (var i = 0; i < Block; i++) sum += i is >= 148 and < 156 ? 0 : header[i];
        if (Number(148, 8) != sum) throw Wrong(entries == 0 ? "it is neither a GGUF file nor a tar" : "a header's checksum is wrong: it is damaged", "invalid_archive");
    }

    /// <summary>Octal digits, or (GNU) a binary number with the highest bit set.</summary>
    private long Number(int start, int length)
    {
        var field = header.AsSpan(start, length);
        if (field[0] >= 0x80)
        {
            if (field[0] != 0x80 || length < 9 || field[1..^8].IndexOfAnyExcept((byte)0) >= 0) throw Wrong("a header's size is out of range");
            var number = BinaryPrimitives.ReadInt64BigEndian(field[^8..]);
            return number is >= 0 and <= long.MaxValue / 2 ? number : throw Wrong("a header's size is out of range");
        }
        long value = 0;
        foreach (var digit in field.Trim("\0 "u8))
        {
            if (digit is < (byte)'0' or > (byte)'7') throw Wrong(entries == 0 ? "it is neither a GGUF file nor a tar" : "a header's number is not octal: it is damaged");
            value = (value * 8) + digit - '0';
        }
        return value;
    }

    private async Task<byte[]> ExtensionAsync(CancellationToken cancel)
    {
        if (left > LargestExtension) throw Wrong($"an extended header would have {left:N0} bytes; {LargestExtension:N0} are allowed");
        var bytes = new byte[left];
        await Content.ReadExactlyAsync(bytes, cancel);
        return bytes;
    }

    /// <summary>Records "LENGTH KEY=VALUE\n"; only the name and the size matter.</summary>
    private static (string? Name, long? Size) Pax(byte[] records, string? name, long? size)
    {
        var rest = records.AsSpan();
        while (rest.Length > 0 && rest[0] != 0)
        {
            var space = rest.IndexOf((byte)' ');
            if (space is < 1 or > 8 || !int.TryParse(rest[..space], out var length) || length <= space + 1 || length > rest.Length) throw Wrong("an extended header is damaged");
            var record = Encoding.UTF8.GetString(rest[(space + 1)..(length - 1)]);
            rest = rest[length..];
            var equals = record.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0) throw Wrong("an extended header is damaged");
            var (key, value) = (record[..equals], record[(equals + 1)..]);
            if (key == "path") name = value;
            else if (key == "size") size = long.TryParse(value, System.Globalization.NumberStyles.None, null, out var number) && number <= long.MaxValue / 2 ? number : throw Wrong("an extended header's size is out of range");
            else if (key.StartsWith("GNU.sparse", StringComparison.Ordinal)) throw Wrong($"'{Shown(name ?? "")}' is a sparse file; a model's archive holds regular files");
        }
        return (name, size);
    }

    private async Task SkipAsync(long count, CancellationToken cancel)
    {
        var buffer = new byte[Math.Min(count, 1 << 16)];
        while (count > 0)
        {
            var read = await source.ReadAsync(buffer.AsMemory(0, (int)Math.Min(count, buffer.Length)), cancel);
            if (read == 0) throw Wrong("it is cut short inside a file", "truncated");
            count -= read;
        }
    }

    private static string Shown(string name) => name.Length <= 80 ? name : name[..80] + "...";

    private static InvalidInputException Wrong(string what, string code = "invalid_archive") => new($"The archive is refused: {what}. Send a plain tar of one model's files, or one .gguf.", "file", code);

    /// <summary>What is left of one entry.</summary>
    private sealed class Part(TarEntries tar) : ReadOnlyStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (tar.left == 0 || buffer.Length == 0) return 0;
            var read = await tar.source.ReadAsync(buffer[..(int)Math.Min(buffer.Length, tar.left)], cancellationToken);
            if (read == 0) throw Wrong("it is cut short inside a file", "truncated");
            tar.left -= read;
            return read;
        }
    }
}

/// <summary>A regular file of an archive.</summary>
/// <param name="Folders">Those that it stands in, the outermost first.</param>
internal sealed record TarEntry(IReadOnlyList<string> Folders, string Name, long Size);
