using Gradus.Training.Inference;
using Gradus.Training.Model;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Inference;

public sealed class ModelThreadTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-thread-").FullName;
    private readonly Tokenizer tokenizer;
    private readonly List<CountingDecoder> decoders = [];

    public ModelThreadTests()
    {
        TinyModel.Write(folder);
        tokenizer = Tokenizer.Load(folder);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Requests_of_one_model_share_its_batch_and_get_their_own_tokens()
    {
        using var thread = new ModelThread(Load, keep: 1);
        var model = await thread.Open(new("a", null));
        // Both are in line before the thread takes its next step.
        var starts = new[] { Request(1), Request(2) }.Select(request => thread.Start(model, request)).ToArray();
        var tokens = await Task.WhenAll(starts.Select(async start => await ReadAsync(await start)));
        Assert.Equal(2, (await thread.Status())[0].PeakRunning);
        for (var i = 0; i < 2; i++)
        {
            var engine = new Engine(new CountingDecoder(), 1);
            var alone = engine.Add(Request((ulong)i + 1))[0];
            while (!engine.Idle) engine.Step();
            Assert.Equal(alone.Tokens, tokens[i].Select(token => token.Token));
            Assert.Equal(alone.FinishReason, tokens[i][^1].FinishReason);
        }
    }

    [Fact]
    public async Task A_cancelled_generation_leaves_the_batch_and_its_channel_ends()
    {
        using var thread = new ModelThread(_ => Model(new CountingDecoder(1_000_000)), keep: 1);
        var model = await thread.Open(new("a", null));
        var generation = await thread.Start(model, new GenerationRequest([1], 900_000, new SamplingOptions(), [], [1, 2]));
        await generation.Tokens.ReadAsync(Cancel);
        await thread.Cancel(model, generation, index: 0);
        Assert.Equal(1, (await thread.Status())[0].Running);
        await thread.Cancel(model, generation);
        Assert.Equal(0, (await thread.Status())[0].Running);
        Assert.True((await ReadAsync(generation)).Count < 1_800_000);
    }

    [Fact]
    public async Task The_least_used_model_without_work_is_let_go()
    {
        using var thread = new ModelThread(Load, keep: 2);
        var a = await thread.Open(new("a", null));
        var b = await thread.Open(new("b", null));
        await thread.Close(b);
        await thread.Open(new("c", null));
        Assert.Equal([false, true, false], decoders.Select(decoder => decoder.Disposed));
        Assert.Same(a, await thread.Open(new("a", null)));
    }

    [Fact]
    public async Task A_failing_model_tells_its_requests_and_is_loaded_anew()
    {
        var loads = 0;
        using var thread = new ModelThread(_ => Model(++loads == 1 ? new FailingDecoder() : new CountingDecoder()), keep: 1);
        var model = await thread.Open(new("a", null));
        var generation = await thread.Start(model, Request(1));
        await Assert.ThrowsAsync<ArithmeticException>(() => ReadAsync(generation));
        model = await thread.Open(new("a", null));
        Assert.Equal(8, (await ReadAsync(await thread.Start(model, Request(1)))).Count);
        await Assert.ThrowsAsync<InvalidInputException>(() => thread.Start(model, new GenerationRequest([], 1, new SamplingOptions(), [], [1])));
    }

    private static GenerationRequest Request(ulong key) => new([1, 2], 8, new SamplingOptions(), [], [key]);

    private static async Task<List<GeneratedToken>> ReadAsync(Generation generation)
    {
        var tokens = new List<GeneratedToken>();
        await foreach (var token in generation.Tokens.ReadAllAsync(Cancel)) tokens.Add(token);
        return tokens;
    }

    private ServedModel Load(StoredModel stored)
    {
        var decoder = new CountingDecoder();
        decoders.Add(decoder);
        return Model(decoder, stored.Folder);
    }

    private ServedModel Model(IDecoder decoder, string name = "a") => new(name, new Engine(decoder, 4), tokenizer, null, [1]);

    private sealed class FailingDecoder : IDecoder
    {
        public int VocabularySize => 32;

        public int MaxPositions => 64;

        public string Kernel => "failing";

        public long CacheBytes { get; set; } = 1_000_000;

        public long PeakCacheBytes => 0;

        public long BytesOf(int positions) => positions;

        public bool TryBegin(int slot, int[] tokens, bool share, out int cached)
        {
            cached = 0;
            return true;
        }

        public void Prefill(IReadOnlyList<int> slots, Span<float> logits) => logits.Fill(float.NaN);

        public long WeightsChanged() => 0;

        public void CopyPrefix(int from, int to, int length)
        {
        }

        public bool TryExtend(int slot) => true;

        public void Decode(ReadOnlySpan<int> tokens, Span<float> logits) => logits.Fill(float.NaN);

        public void Release(int slot)
        {
        }

        public void Move(int from, int to)
        {
        }

        public void Dispose()
        {
        }
    }
}
