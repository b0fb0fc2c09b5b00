using System.Collections.Concurrent;

namespace Gradus.Api.Operations;

/// <summary>One token bucket a caller: it holds one second's worth and fills steadily. Time is the <see cref="TimeProvider"/>'s monotonic clock.</summary>
internal sealed class RateLimit(GradusSettings settings, TimeProvider time)
{
    // Unknown addresses could fill the memory otherwise; a full bucket forgotten is a full bucket made anew.
    private const int MostCallers = 10_000;
    private readonly ConcurrentDictionary<string, Bucket> buckets = new();

    /// <summary>Takes one token.</summary>
    /// <returns>Null when there was one, else the whole seconds to wait.</returns>
    public int? TakeOrWait(string caller)
    {
        var now = time.GetTimestamp();
        if (buckets.Count > MostCallers)
            foreach (var (name, old) in buckets)
                if (time.GetElapsedTime(old.At, now) > TimeSpan.FromSeconds(1)) buckets.TryRemove(name, out _);
        var bucket = buckets.GetOrAdd(caller, _ => new Bucket { Tokens = settings.RequestsPerSecond, At = now });
        lock (bucket)
        {
            bucket.Tokens = Math.Min(settings.RequestsPerSecond, bucket.Tokens + time.GetElapsedTime(bucket.At, now).TotalSeconds * settings.RequestsPerSecond);
            bucket.At = now;
            if (bucket.Tokens < 1) return Math.Max(1, (int)Math.Ceiling((1 - bucket.Tokens) / settings.RequestsPerSecond));
            bucket.Tokens -= 1;
            return null;
        }
    }

    private sealed class Bucket
    {
        public double Tokens;
        public long At;
    }
}
