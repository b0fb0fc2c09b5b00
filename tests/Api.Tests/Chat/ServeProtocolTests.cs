using System.Text;
using Gradus.Api.Chat;
using Gradus.Training.Inference;
using Xunit;

namespace Gradus.Api.Tests.Chat;

public sealed class ServeProtocolTests
{
    [Fact]
    public async Task WhatIsSampledByComesOutAsItWentIn()
    {
        var sampling = new SamplingOptions { Temperature = 0, TopP = 0.5, TopK = 3, MinP = 0.1, PresencePenalty = -1, FrequencyPenalty = 1, RepetitionPenalty = 2 };
        Assert.Equal(sampling, (await PassAsync(new ServeRequest("chat", "folder", Sampling: sampling)))!.Sampling);
        Assert.Equal(new SamplingOptions(), (await PassAsync(new ServeRequest("chat", "folder", Sampling: new SamplingOptions())))!.Sampling);
    }

    [Fact]
    public async Task ATokenComesOutAsItWentIn()
    {
        var token = new ServeEvent("token") { Index = 2, Text = "\u2028 é\n", LogProb = new("a", 0), FinishReason = "stop" };
        Assert.Equal(token, await PassAsync(token));
    }

    private static async Task<T?> PassAsync<T>(T message)
        where T : class => await ServeProtocol.ReadAsync<T>(new StreamReader(new MemoryStream(ServeProtocol.Line(message)), Encoding.UTF8), CancellationToken.None);
}
