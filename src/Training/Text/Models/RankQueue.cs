namespace Gradus.Training.Text.Models;

/// <summary>
/// Places by (rank, place), the least first. A long piece has few different ranks, and the places of one come nearly in order: those that do wait in a
/// list, so that a million of them are read from its front without a heap's jumps through memory; only the others go into a heap.
/// </summary>
internal sealed class RankQueue
{
    private readonly Dictionary<int, Bucket> buckets = [];
    private readonly PriorityQueue<Bucket, int> waiting = new(); // those that hold something, each once
    private Bucket? last;

    public void Add(int rank, int place)
    {
        if (last?.Rank != rank && !buckets.TryGetValue(rank, out last)) buckets[rank] = last = new Bucket(rank);
        if (last!.Count == 0) waiting.Enqueue(last, rank);
        last.Add(place);
    }

    public bool TryTake(out int rank, out int place)
    {
        (rank, place) = (0, 0);
        if (!waiting.TryPeek(out var bucket, out rank)) return false;
        place = bucket.Take();
        if (bucket.Count == 0) waiting.Dequeue();
        return true;
    }

    private sealed class Bucket(int rank)
    {
        private readonly List<int> ordered = [];
        private readonly PriorityQueue<int, int> others = new();
        private int taken;

        public int Rank => rank;

        public int Count => ordered.Count - taken + others.Count;

        public void Add(int place)
        {
            if (ordered.Count > taken && ordered[^1] > place) others.Enqueue(place, place);
            else ordered.Add(place);
        }

        public int Take()
        {
            if (ordered.Count == taken || (others.Count > 0 && others.Peek() < ordered[taken])) return others.Dequeue();
            var place = ordered[taken++];
            if (taken == ordered.Count)
            {
                ordered.Clear();
                taken = 0;
            }

            return place;
        }
    }
}
