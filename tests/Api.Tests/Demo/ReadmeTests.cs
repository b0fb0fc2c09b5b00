using System.Text;
using Gradus.Training.Tasks;
using Gradus.Tests;
using Xunit;

namespace Gradus.Api.Tests.Demo;

/// <summary>What the README sends is taken, in its order: its map by rows like GSM8K's, its jobs, recipes and exports by a model of the name it uses.</summary>
public sealed class ReadmeTests(ApiHost host)
{
    private const string Row = """{"question":"How many are 48 and 24?","answer":"It is 48+24 = <<48+24=72>>72.\n#### 72"}""";

    [Fact]
    public async Task ItsJobsRecipesAndMapsAreTaken()
    {
        var (imported, trained) = (await host.ModelAsync(), await host.SucceededRunAsync("grpo-times-tables"));
        foreach (var model in new[] { imported, trained }) TinyModel.Write(Path.Combine(host.Service.StateFolder, "models", model));
        await host.Database.Sql("update models set name = 'smollm2-135m-instruct' where id = $1", imported);
        var sent = 0;
        foreach (var (_, path, body) in ReadmeCommands.All.Where(command => command.Body is not null && command.Path is not ("/v1/models" or "/v1/chat/completions")))
        {
            using HttpContent content = path == "/v1/datasets"
                ? new MultipartFormDataContent { { new StringContent("gsm8k-train"), "name" }, { new StringContent(body!), "map" }, { new ByteArrayContent(Encoding.UTF8.GetBytes(Row)), "file", "train.jsonl" } }
                : Requests.Json(body!);
            using var response = await host.Client.PostAsync(path, content, Requests.Cancel);
            Assert.True((int)response.StatusCode == 201, $"{path} {body}: {await response.Content.ReadAsStringAsync(Requests.Cancel)}");
            sent++;
        }
        Assert.InRange(sent, 4, 30);
    }
}
