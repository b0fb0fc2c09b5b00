using System.Runtime.CompilerServices;
using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>The sample table of jobs as JSONL, page by page from the database to the caller: what lies in memory does not grow with it.</summary>
internal static class SampleDownload
{
    public const string ContentType = "application/jsonl";

    /// <summary>To a HEAD it says the length, for which the lines are made and counted; a GET does not wait for that.</summary>
    /// <param name="name">The file's name begins with it.</param>
    public static async Task<IResult> OfAsync(HttpContext context, string name, IReadOnlyList<string> jobs, SampleTable table, CancellationToken cancel)
    {
        var lines = Lines(jobs, table, cancel);
        var head = HttpMethods.IsHead(context.Request.Method);
        if (head) context.Response.ContentLength = await lines.Select(line => (long)line.Length).SumAsync(cancel);
        return Results.Stream(WriteAsync, ContentType, $"{name}-samples.jsonl");

        async Task WriteAsync(Stream body)
        {
            if (head) return;
            await foreach (var line in lines) await body.WriteAsync(line, cancel);
        }
    }

    private static async IAsyncEnumerable<byte[]> Lines(IReadOnlyList<string> jobs, SampleTable table, [EnumeratorCancellation] CancellationToken cancel)
    {
        foreach (var job in jobs)
        {
            await foreach (var sample in table.AllAsync(job, cancel)) yield return [.. JsonSerializer.SerializeToUtf8Bytes(SampleContract.Of(sample), Wire.Options), (byte)'\n'];
        }
    }
}
