using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>The sample table of jobs as JSONL, page by page from the database to the caller: what lies in memory does not grow with it.</summary>
internal static class SampleDownload
{
    public const string ContentType = "application/jsonl";

    /// <param name="name">The file's name begins with it.</param>
    public static IResult Of(string name, IReadOnlyList<string> jobs, SampleTable table, CancellationToken cancel)
    {
        return Results.Stream(WriteAsync, ContentType, $"{name}-samples.jsonl");

        async Task WriteAsync(Stream body)
        {
            foreach (var job in jobs)
            {
                await foreach (var sample in table.AllAsync(job, cancel))
                {
                    await JsonSerializer.SerializeAsync(body, SampleContract.Of(sample), Wire.Options, cancel);
                    await body.WriteAsync("\n"u8.ToArray(), cancel);
                }
            }
        }
    }
}
