using Gradus.Api.Operations;
using Gradus.Persistence;
using Parquet;
using Parquet.Schema;

namespace Gradus.Api.Jobs;

/// <summary>
/// The sample table of jobs as one Parquet file: the fields of a sample, and a column <c>rewards/NAME</c> for each reward. The format ends with places in the file, so that it is written
/// whole before it is sent; the file goes with the answer.
/// </summary>
internal static class SampleParquet
{
    public const string ContentType = "application/vnd.apache.parquet";

    /// <summary>Rows that are in memory at once.</summary>
    private const int GroupRows = 1024;

    /// <param name="name">The file's name begins with it.</param>
    public static async Task<IResult> OfAsync(string name, IReadOnlyList<string> jobs, SampleTable table, StateFolders folders, CancellationToken cancel)
    {
        Directory.CreateDirectory(folders.Uploads);
        var path = Path.Combine(folders.Uploads, Guid.NewGuid().ToString("N") + ".parquet");
        var file = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, 64 << 10, FileOptions.DeleteOnClose | FileOptions.Asynchronous);
        try
        {
            await WriteAsync(file, jobs, table, cancel);
            file.Position = 0;
            return Results.Stream(file, ContentType, $"{name}-samples.parquet");
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    private static async Task WriteAsync(Stream file, IReadOnlyList<string> jobs, SampleTable table, CancellationToken cancel)
    {
        Column[] columns =
        [
            Text("job_id", sample => sample.JobId), Whole("step", sample => sample.Step), Whole("index", sample => sample.Index), Whole("group", sample => sample.GroupIndex), Text("prompt", sample => sample.Prompt),
            Text("completion", sample => sample.Completion), Whole("token_count", sample => sample.TokenCount), Text("finish_reason", sample => sample.FinishReason),
            Number("reward", sample => sample.Reward), Number("advantage", sample => sample.Advantage), Whole("policy_version", sample => sample.PolicyVersion),
            .. (await table.RewardNamesAsync(jobs, cancel)).Select(name => Number($"rewards/{name}", sample => sample.Rewards.Find(reward => reward.Name == name)?.Value)),
        ];
        var schema = new ParquetSchema(columns.Select(column => column.Field));
        await using var writer = await ParquetWriter.CreateAsync(schema, file, cancellationToken: cancel);
        foreach (var job in jobs)
        {
            await foreach (var samples in table.AllAsync(job, cancel).Chunk(GroupRows).WithCancellation(cancel))
            {
                using var group = writer.CreateRowGroup();
                foreach (var (field, column) in schema.GetDataFields().Zip(columns)) await column.Write(group, field, samples);
                group.CompleteValidate();
            }
        }
    }

    private static Column Text(string name, Func<StepSample, string> value) => new(new DataField<string>(name), (group, field, samples) => group.WriteAsync(field, [.. samples.Select(value)]));

    private static Column Whole(string name, Func<StepSample, int> value) => new(new DataField<int>(name), (group, field, samples) => group.WriteAsync<int>(field, samples.Select(value).ToArray()));

    private static Column Number(string name, Func<StepSample, double?> value) => new(new DataField<double?>(name), (group, field, samples) => group.WriteAsync<double>(field, samples.Select(value).ToArray()));

    private sealed record Column(DataField Field, Func<ParquetRowGroupWriter, DataField, StepSample[], Task> Write);
}
