namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// A few threads that share loops of microseconds, too short for the thread pool. The caller works through a loop like the others, and through all of it
/// where the others are not given a processor: nobody waits but for an iteration that another has begun. One caller at a time.
/// </summary>
internal sealed class ComputeTeam : IDisposable
{
    /// <summary>Rounds in which one who waits keeps its processor: some fifty microseconds, longer than it takes between two loops of a token.</summary>
    private const int Rounds = 1_000;

    private readonly SemaphoreSlim wake = new(0);
    private readonly Thread[] others;
    private volatile Loop current = new(0, (_, _) => { });
    private volatile bool ended;
    private int asleep;

    /// <param name="members">Threads, the caller included; at least 1.</param>
    public ComputeTeam(int members)
    {
        Members = Math.Max(1, members);
        others = [.. Enumerable.Range(1, Members - 1).Select(member => new Thread(() => Serve(member)) { IsBackground = true, Name = $"decoder {member}" })];
        foreach (var thread in others) thread.Start();
    }

    public int Members { get; }

    /// <summary>Runs the body for 0 to <paramref name="iterations"/> - 1, each on some member, and returns when all are done. A body that throws on another thread ends the process.</summary>
    /// <param name="body">Gets the iteration and the member that runs it.</param>
    public void For(int iterations, Action<int, int> body)
    {
        if (others.Length == 0 || iterations < 2)
        {
            for (var i = 0; i < iterations; i++) body(i, 0);
            return;
        }
        var loop = new Loop(iterations, body);
        current = loop;
        if (Volatile.Read(ref asleep) > 0) wake.Release(Interlocked.Exchange(ref asleep, 0));
        while (loop.RunOne(0))
        {
        }
        for (var round = 0; !loop.Done; round++)
        {
            if (round < Rounds) Thread.SpinWait(4);
            else Thread.Yield();
        }
    }

    public void Dispose()
    {
        ended = true;
        if (others.Length > 0) wake.Release(others.Length);
        foreach (var thread in others) thread.Join();
        wake.Dispose();
    }

    private void Serve(int member)
    {
        var idle = 0;
        while (!ended)
        {
            if (RunOne(member)) idle = 0;
            else if (idle++ < Rounds) Thread.SpinWait(4);
            else
            {
                // A loop that begins just now is not seen, and goes on without this thread.
                Interlocked.Increment(ref asleep);
                wake.Wait();
                idle = 0;
            }
        }
    }

    private bool RunOne(int member)
    {
        try
        {
            return current.RunOne(member);
        }
        catch (Exception problem)
        {
            Environment.FailFast("A decoder's thread failed.", problem);
            throw;
        }
    }

    /// <summary>One loop; who comes late to it finds nothing left to take.</summary>
    private sealed class Loop(int iterations, Action<int, int> body)
    {
        private int next;
        private int done;

        public bool Done => Volatile.Read(ref done) == iterations;

        /// <summary>Runs an iteration that nobody has taken; false where there is none.</summary>
        public bool RunOne(int member)
        {
            if (Volatile.Read(ref next) >= iterations) return false;
            var iteration = Interlocked.Increment(ref next) - 1;
            if (iteration >= iterations) return false;
            body(iteration, member);
            Interlocked.Increment(ref done);
            return true;
        }
    }
}
