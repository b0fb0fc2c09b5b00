using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>Reads the samples of a step by their groups, and all samples of a job.</summary>
public sealed class SampleTable(IDbContextFactory<GradusDb> databases, NpgsqlDataSource source)
{
    /// <summary>Rows that are in memory at once.</summary>
    private const int PageRows = 256;

    /// <summary>The job's newest step that has samples; null where none has.</summary>
    public async Task<int?> NewestStepAsync(string jobId, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        return await database.Samples.Where(sample => sample.JobId == jobId).MaxAsync(sample => (int?)sample.Step, cancellationToken);
    }

    /// <summary>A page of a step's samples in <see cref="SampleOrder.Group"/>, and one more where there are more.</summary>
    /// <param name="after">The index of the sample to go on after; null for the first page.</param>
    public async Task<IReadOnlyList<StepSample>> ByGroupAsync(string jobId, int step, int? after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        var rows = await connection.Statement("select index, reward, group_index from samples where job_id = $1 and step = $2 order by group_index, index", jobId, step)
            .ListAsync(reader => (Index: reader.GetInt32(0), Reward: reader.IsDBNull(1) ? (double?)null : reader.GetDouble(1), Group: reader.GetInt32(2)), cancellationToken);
        var order = BestAndWorst(rows);
        var page = (after is { } last ? order.SkipWhile(index => index != last).Skip(1) : order).Take(limit + 1).ToArray();
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var found = await Samples(database, jobId).Where(sample => sample.Step == step && page.Contains(sample.Index)).ToDictionaryAsync(sample => sample.Index, cancellationToken);
        return [.. page.Where(found.ContainsKey).Select(index => found[index])];
    }

    /// <summary>What the rewards of these jobs' samples are called, in the order of the alphabet.</summary>
    public async Task<IReadOnlyList<string>> RewardNamesAsync(IReadOnlyList<string> jobs, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        return await connection.Statement("select distinct name collate \"C\" from rewards where job_id = any ($1) order by 1", (object)jobs.ToArray()).ListAsync(reader => reader.GetString(0), cancellationToken);
    }

    /// <summary>All samples of a job, the first step first, inside it by index.</summary>
    public async IAsyncEnumerable<StepSample> AllAsync(string jobId, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (var (step, index) = (-1, -1); ;)
        {
            await using var database = await databases.CreateDbContextAsync(cancellationToken);
            var page = await Samples(database, jobId).Where(sample => sample.Step > step || (sample.Step == step && sample.Index > index))
                .OrderBy(sample => sample.Step).ThenBy(sample => sample.Index).Take(PageRows).ToListAsync(cancellationToken);
            foreach (var sample in page) yield return sample;
            if (page.Count < PageRows) yield break;
            (step, index) = (page[^1].Step, page[^1].Index);
        }
    }

    /// <summary>Indices: of each group the best and the worst that have a reward, then the others of each, best first and unscored last.</summary>
    /// <param name="rows">By group.</param>
    private static IReadOnlyList<int> BestAndWorst(IReadOnlyList<(int Index, double? Reward, int Group)> rows)
    {
        List<int> ends = [], others = [];
        foreach (var group in rows.GroupBy(row => row.Group))
        {
            (int Index, double? Reward, int Group)[] sorted = [.. group.OrderByDescending(row => row.Reward ?? double.NegativeInfinity).ThenBy(row => row.Index)];
            var worst = Array.FindLastIndex(sorted, row => row.Reward is not null);
            for (var place = 0; place < sorted.Length; place++) (place == 0 || place == worst ? ends : others).Add(sorted[place].Index);
        }
        return [.. ends, .. others];
    }

    private static IQueryable<StepSample> Samples(GradusDb database, string jobId) =>
        database.Samples.AsNoTracking().Include(sample => sample.Rewards.OrderBy(reward => reward.Name)).Where(sample => sample.JobId == jobId);
}
