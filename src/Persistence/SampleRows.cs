using Npgsql;
using NpgsqlTypes;

namespace Gradus.Persistence;

/// <summary>Writes samples and their rewards by binary COPY.</summary>
internal static class SampleRows
{
    /// <returns>How many characters the database cannot hold were replaced.</returns>
    public static async Task<int> CopyAsync(NpgsqlConnection connection, IReadOnlyList<StepSample> samples, CancellationToken cancellationToken)
    {
        if (samples.Count == 0) return 0;
        var replaced = 0;
        await using (var copy = await connection.BeginBinaryImportAsync("""
            copy samples (job_id, step, index, group_index, prompt, completion, token_count, reward, advantage, finish_reason, policy_version) from stdin (format binary)
            """, cancellationToken))
        {
            foreach (var sample in samples)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(sample.JobId, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(sample.Step, NpgsqlDbType.Integer, cancellationToken);
                await copy.WriteAsync(sample.Index, NpgsqlDbType.Integer, cancellationToken);
                await copy.WriteAsync(sample.GroupIndex, NpgsqlDbType.Integer, cancellationToken);
                await copy.WriteAsync(PostgresText.Clean(sample.Prompt, ref replaced), NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(PostgresText.Clean(sample.Completion, ref replaced), NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(sample.TokenCount, NpgsqlDbType.Integer, cancellationToken);
                await WriteAsync(copy, sample.Reward, cancellationToken);
                await WriteAsync(copy, sample.Advantage, cancellationToken);
                await copy.WriteAsync(sample.FinishReason, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(sample.PolicyVersion, NpgsqlDbType.Integer, cancellationToken);
            }

            await copy.CompleteAsync(cancellationToken);
        }

        await using var rewards = await connection.BeginBinaryImportAsync("copy rewards (job_id, step, index, name, value) from stdin (format binary)", cancellationToken);
        foreach (var reward in samples.SelectMany(sample => sample.Rewards))
        {
            await rewards.StartRowAsync(cancellationToken);
            await rewards.WriteAsync(reward.JobId, NpgsqlDbType.Text, cancellationToken);
            await rewards.WriteAsync(reward.Step, NpgsqlDbType.Integer, cancellationToken);
            await rewards.WriteAsync(reward.Index, NpgsqlDbType.Integer, cancellationToken);
            await rewards.WriteAsync(reward.Name, NpgsqlDbType.Text, cancellationToken);
            await WriteAsync(rewards, reward.Value, cancellationToken);
        }

        await rewards.CompleteAsync(cancellationToken);
        return replaced;
    }

    private static Task WriteAsync(NpgsqlBinaryImporter copy, double? value, CancellationToken cancellationToken) =>
        value is { } number ? copy.WriteAsync(number, NpgsqlDbType.Double, cancellationToken) : copy.WriteNullAsync(cancellationToken);
}
