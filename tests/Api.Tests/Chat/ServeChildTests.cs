using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Gradus.Api.Chat;
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
