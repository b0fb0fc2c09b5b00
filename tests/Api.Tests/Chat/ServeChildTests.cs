using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Gradus.Api.Chat;
using Gradus.Training.Inference;
using Xunit;

namespace Gradus.Api.Tests.Chat;

/// <summary>What the serve child does when requests meet, leave, or it dies.</summary>
public sealed class ServeChildTests(ChatHost host) : IClassFixture<ChatHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Requests_at_the_same_time_share_one_batch_and_a_disconnect_frees_its_place()
    {
        using (var endless = await EndlessAsync())
        {
            using var beside = await PostAsync(host.Scripted("long", "7", "<eos>"), HttpCompletionOption.ResponseContentRead);
            Assert.Equal(HttpStatusCode.OK, beside.StatusCode);
            Assert.Equal(2, Model(await host.StatusAsync(Cancel)).PeakRunning);
        }
        // The child sees the closed connection a moment later; each question gives it that moment.
        ServeEvent status;
        do status = await host.StatusAsync(Cancel);
        while (Model(status).Running > 0 || status.Connections > 1);
        Assert.True(Model(status).SampledTokens < 20_000);
    }

    [Fact]
    public async Task A_killed_child_costs_the_answers_under_way_and_the_next_request_starts_another()
    {
        using var streamed = await EndlessAsync();
        var whole = PostAsync(new JsonObject { ["model"] = "long", ["messages"] = User(), ["logit_bias"] = new JsonObject { ["1"] = -100 } }, HttpCompletionOption.ResponseContentRead);
        while (Model(await host.StatusAsync(Cancel)).Running < 2)
        {
        }
        var id = host.Served.ProcessId!.Value;
        using (var child = Process.GetProcessById(id)) child.Kill();

        using var failed = await whole;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, failed.StatusCode);
        Assert.Equal("model_unavailable", (string?)JsonNode.Parse(await failed.Content.ReadAsStringAsync(Cancel))!["error"]!["code"]);
        var rest = await streamed.Content.ReadAsStringAsync(Cancel);
        Assert.DoesNotContain("[DONE]", rest);
        Assert.Contains("model_unavailable", rest.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)[^1]);

        using var next = await PostAsync(host.Scripted("tiny", "7", "<eos>"), HttpCompletionOption.ResponseContentRead);
        Assert.Equal(HttpStatusCode.OK, next.StatusCode);
        Assert.NotEqual(id, host.Served.ProcessId);
    }

    [Fact]
    public async Task The_socket_is_this_users_alone_and_goes_with_the_service()
    {
        var other = new ChatHost();
        await other.InitializeAsync();
        using var answer = await other.Client.PostAsync(
            "/v1/chat/completions", new StringContent(other.Scripted("tiny", "7", "<eos>").ToJsonString(), Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var socket = other.Served.SocketPath!;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(socket)!));
        using var child = Process.GetProcessById(other.Served.ProcessId!.Value);
        await other.DisposeAsync();
        await child.WaitForExitAsync(Cancel);
        Assert.False(File.Exists(socket));
    }

    [Fact]
    public async Task Chat_says_by_which_kernel_it_computes_and_bf16_stays_near()
    {
        Assert.SkipUnless(DecodeKernel.BFloat16 is not null, "This processor has no bf16 instructions, or the kernels were not built.");
        var other = new ChatHost { Settings = new() { ChatDtype = "bf16", ChatCacheMb = 7 } };
        await other.InitializeAsync();
        var near = await Task.WhenAll(LogProbsAsync(host.Client), LogProbsAsync(other.Client));
        Assert.Equal(60, near[0].Length);
        Assert.InRange(near[0].Zip(near[1], (one, two) => Math.Abs(one - two)).Average(), 1e-6, 0.05);
        Assert.Equal([(DecodeKernel.Float32, 2_048_000_000L), (DecodeKernel.BFloat16!, 7_000_000L)], [await StatusAsync(host.Client), await StatusAsync(other.Client)]);
        await other.DisposeAsync();

        static async Task<double[]> LogProbsAsync(HttpClient client)
        {
            // The likeliest token has all the weight, whatever the roundings.
            var body = new JsonObject
            {
                ["model"] = "tiny", ["messages"] = User(), ["temperature"] = 0, ["logprobs"] = true, ["max_tokens"] = 60, ["logit_bias"] = new JsonObject { ["7"] = 100 },
            };
            using var answer = await client.PostAsync("/v1/chat/completions", new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"), Cancel);
            var content = JsonNode.Parse(await answer.Content.ReadAsStringAsync(Cancel))!["choices"]![0]!["logprobs"]!["content"]!.AsArray();
            return [.. content.Select(token => token!["logprob"]!.GetValue<double>())];
        }

        static async Task<(string, long)> StatusAsync(HttpClient client)
        {
            var models = JsonNode.Parse(await client.GetStringAsync("/v1/chat/status", Cancel))!["models"]!.AsArray();
            var tiny = models.Single(model => (string?)model!["model"] == "tiny")!;
            return (tiny["kernel"]!.GetValue<string>(), tiny["cache_bytes"]!.GetValue<long>());
        }
    }

    [Fact]
    public async Task What_the_cache_has_no_room_for_is_refused_by_both_numbers()
    {
        // A page of 16 positions of the tiny model takes some tens of kilobytes: in 1 MB there is room for part of a context of 30,000.
        var other = new ChatHost { Settings = new() { ChatCacheMb = 1 } };
        await other.InitializeAsync();
        var body = new JsonObject { ["model"] = "long", ["messages"] = User(), ["max_tokens"] = 20_000 };
        using var refused = await other.Client.PostAsync("/v1/chat/completions", new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var error = JsonNode.Parse(await refused.Content.ReadAsStringAsync(Cancel))!["error"]!;
        Assert.Equal("max_tokens", (string?)error["param"]);
        Assert.Matches("^max_tokens is 20000; the cache's bound of 1 MB \\(Gradus:ChatCacheMb\\) has room for [0-9]+ of the 30000 tokens of the model's context\\.$", (string?)error["message"]);
        await other.DisposeAsync();
    }

    // A stream that has begun and would go on for tens of thousands of tokens.
    private async Task<HttpResponseMessage> EndlessAsync()
    {
        var response = await PostAsync(
            new JsonObject { ["model"] = "long", ["messages"] = User(), ["stream"] = true, ["logit_bias"] = new JsonObject { ["1"] = -100 } }, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return response;
    }

    private async Task<HttpResponseMessage> PostAsync(JsonObject body, HttpCompletionOption completion)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        return await host.Client.SendAsync(request, completion, Cancel);
    }

    private static JsonArray User() => [new JsonObject { ["role"] = "user", ["content"] = "What is 1?" }];

    private static Gradus.Training.Inference.ModelStatus Model(ServeEvent status) => status.Models!.Single(model => model.Folder.EndsWith("long", StringComparison.Ordinal));
}
