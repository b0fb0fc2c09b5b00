using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Unicode;
using Gradus.Api.Operations;

namespace Gradus.Api.Datasets;

/// <summary>
/// Reads JSONL once, as it comes: keeps the bytes in a file, checks each line, and remembers what is wrong with the first ones that are. Memory holds one
/// line. Lines end with LF or CR LF; empty ones are passed over; a byte order mark is too.
/// </summary>
/// <param name="map">How rows of another form are read; null where they come as they are.</param>
internal sealed class JsonlReader(GradusSettings settings, RowMap? map)
{
    private static readonly byte[] mark = [0xEF, 0xBB, 0xBF];

    private readonly RowCheck check = new(map);
    private readonly List<LineError> errors = [];
    private long line;

    public int Rows { get; private set; }

    public IReadOnlyList<LineError> Errors => errors;

    private bool Enough => errors.Count >= settings.MaxReportedLines;

    /// <summary>Reads to the end, or until enough lines are wrong.</summary>
    /// <param name="copy">Gets the bytes as they are.</param>
    /// <param name="limit">The most bytes; 413 beyond.</param>
    public async Task ReadAsync(Stream source, Stream copy, long limit, CancellationToken cancel)
    {
        var pipe = PipeReader.Create(source, new StreamPipeReaderOptions(bufferSize: 64 << 10, leaveOpen: true));
        var total = 0L;
        while (!Enough)
        {
            var result = await pipe.ReadAsync(cancel);
            var buffer = result.Buffer;
            while (!Enough && buffer.PositionOf((byte)'\n') is { } end)
            {
                total += await TakeAsync(buffer.Slice(0, buffer.GetPosition(1, end)), copy, cancel);
                buffer = buffer.Slice(buffer.GetPosition(1, end));
            }
            if (total + buffer.Length > limit) throw new ApiException(413, $"The file is larger than {limit:N0} bytes (setting Gradus:MaxUploadBytes).", null, "too_large");
            if (!Enough && buffer.Length > settings.MaxRowBytes + 2) Add(line + 1, TooLong());
            if (result.IsCompleted && !Enough && buffer.Length > 0) await TakeAsync(buffer, copy, cancel);
            pipe.AdvanceTo(result.IsCompleted ? buffer.End : buffer.Start, buffer.End);
            if (result.IsCompleted || errors.LastOrDefault()?.Message == TooLong()) break;
        }
        await pipe.CompleteAsync();
    }

    /// <summary>The rows of a file that was read without an error, mapped, one text each.</summary>
    public IEnumerable<string> RowsOf(string file)
    {
        using var reader = new StreamReader(file);
        while (reader.ReadLine() is { } text)
            if (!string.IsNullOrWhiteSpace(text)) yield return map is null ? text : map.Apply(JsonElement.Parse(text)).GetRawText();
    }

    private async Task<long> TakeAsync(ReadOnlySequence<byte> bytes, Stream copy, CancellationToken cancel)
    {
        foreach (var part in bytes) await copy.WriteAsync(part, cancel);
        line++;
        var text = bytes.IsSingleSegment ? bytes.First : bytes.ToArray();
        if (line == 1 && text.Span.StartsWith(mark)) text = text[mark.Length..];
        if (text.Span.IndexOfAnyExcept(" \t\r\n"u8) < 0) return bytes.Length;
        if (text.Length > settings.MaxRowBytes + 2) Add(line, TooLong());
        else if (Wrong(text) is { } wrong) Add(line, wrong);
        else if (++Rows > settings.MaxDatasetRows) throw new ApiException(400, $"The file has more than {settings.MaxDatasetRows:N0} rows (setting Gradus:MaxDatasetRows).", null, "out_of_range");
        return bytes.Length;
    }

    private string? Wrong(ReadOnlyMemory<byte> text)
    {
        if (!Utf8.IsValid(text.Span)) return "This is not UTF-8.";
        // Legal in JSON, but other readers of lines end one there.
        if (text.Span.TrimEnd("\r\n"u8).Contains((byte)'\r')) return "A carriage return stands inside the line.";
        try
        {
            using var row = JsonDocument.Parse(text[..text.Span.TrimEnd("\r\n"u8).Length], new JsonDocumentOptions { MaxDepth = settings.MaxRowDepth, AllowDuplicateProperties = false });
            return check.Wrong(row.RootElement, line);
        }
        catch (JsonException wrong)
        {
            return $"This is not valid JSON: {JsonBody.Place(wrong).Replace("line 1, ", "", StringComparison.Ordinal)}";
        }
    }

    private string TooLong() => $"This line is longer than {settings.MaxRowBytes:N0} bytes (setting Gradus:MaxRowBytes); reading stopped here.";

    private void Add(long at, string message) => errors.Add(new LineError(at, message));
}
